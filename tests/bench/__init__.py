"""Benches: figures and ratios against a named baseline in the same run. Nothing here asserts about time.

``python -m tests.bench`` runs all, ``python -m tests.bench journal tlv`` some. Medians of ``--runs`` (five) rounds,
baseline and subject taking turns, because machines are noisy and ratios are what holds.
"""
