"""Lanes' wires: ports that open and vanish, and the validators' protocols translated into taps and verdicts.

What must not live here: verdicts, the journal, anything about TPS.
"""
