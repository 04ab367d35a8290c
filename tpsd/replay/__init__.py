"""Logged taps as a time machine."""
