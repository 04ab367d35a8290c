"""Mails to operators: their words (``render``) and their way out (``smtp``). No store, no decisions."""
