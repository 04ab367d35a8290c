"""ViVOpay protocol 2, the protocol of ID TECH's NEO 2 readers (links.md part 2): the daemon's end, and a reader.

``frames``, ``garbage`` and ``decoder`` know bytes, ``commands`` what is asked, ``tap`` what a card's answer says,
``states`` and ``session`` how one reader is kept at work, ``simulator`` a whole reader. None of them knows a port,
a clock or a log, and no repr or error of theirs shows card data.
"""
