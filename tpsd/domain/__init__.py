"""Frozen values with the trade's names: taps, cards, money, authorisations, outcomes, notices.

No I/O, no clock, no library but the standard one, and nothing that decides.
"""
