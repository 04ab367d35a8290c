"""The validator protocols: bytes and a time go in; events, bytes to write and the next deadline come out.

Here live the TLV codec, the frames, decoders and sessions of each protocol, and a simulator of the other end.
Nothing here opens a port, waits, reads a clock, logs or throws its own dice: times and a random source are
handed in. Standard library only, and nothing of tpsd; anything of tpsd may import ``device.tlv``.
"""
