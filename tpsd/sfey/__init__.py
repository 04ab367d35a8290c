"""The adapter to Sfey's TPS: wire profile, messages, client, and a simulator of the other end.

It turns requests into bytes and HTTP into ``tpsd.domain.outcome`` values. It knows no journal, no lane, no
ladder, and it never decides what an answer means: that is ``tpsd.core``.
"""
