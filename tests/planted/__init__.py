"""Bugs planted on purpose: each is put into a copy of the source, and a test that knows better must fail on it.

``python -m tests.planted [NAME…]`` tries them all; a few are tried in every run of the suite.
"""
