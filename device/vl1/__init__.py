"""VL1, the protocol of tpsd's own validators (links.md part 1), both ends of it.

``frames`` and ``decoder`` know bytes, ``messages`` what they say, ``daemon`` and ``validator`` the two ends
of a session, ``simulator`` a whole validator. None of them knows a port, a clock or a log.
"""
