"""One loop a file: lanes read taps, the dispatcher sends, the mailer mails, the warden keeps the house.

A loop waits, asks a plain function what to do, and does it in one transaction. What must not live here: rules.
"""
