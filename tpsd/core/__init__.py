"""Decisions, as plain functions of values: the same values in, the same decision out.

What an answer means, when the next attempt is due, where an authorisation goes, which mail is made, which
texts people see. Time, chance and ids are handed in. Nothing here waits, reads a clock, throws dice, logs, or
knows of SQL, HTTP, serial lines or SMTP.
"""
