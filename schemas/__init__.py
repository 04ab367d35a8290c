"""What crosses a border: the configuration's models, the JSON Schemas made from them, the journal's SQL.

It knows nothing of tpsd or of the device protocols.
"""
