"""The journal: one contract (``tpsd.ports.Journal``), its engines, and the sealing of card data.

SQL lives in ``.sql`` files and in ``schemas/sql``. What must not live here: verdicts, outcomes, due times; they are
decided by functions handed in and run inside the transaction.
"""
