"""The story of one tap in plain sentences: what happened when and why, how it stands, what comes next.

``telling`` puts it together; ``lane`` tells of the tap and its verdict, ``sends`` of what went to TPS, ``ahead`` of how
it stands and what comes next, ``beside`` of mails, orders, journeys and refunds, ``keeping`` of its card data. All are
plain functions of what the journal keeps; ``now`` is handed in.
"""
