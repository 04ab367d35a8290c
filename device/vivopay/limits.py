"""Every bound of ViVOpay protocol 2, with its unit and its reason (links.md part 2)."""

from __future__ import annotations

DATA_MAX = 4096  # bytes of data in a frame: a longer length is damage, not a frame
OVERHEAD = 16  # bytes: header 10, command, code, length 2, CRC 2
SILENCE_SECONDS = 0.25  # inside a frame: what is to come does not come; a byte takes 0.5 ms at 19,200 baud
RUN_MAX = 256  # bytes that one report of garbage covers: a line of text, and nothing that fills a memory

ANSWER_SECONDS = 1.0  # until a command counts as unanswered
TRIES_MAX = 2  # sendings of a command
assert SILENCE_SECONDS < ANSWER_SECONDS  # a damaged answer must be over before its command is sent again

BAUDS = (115_200, 57_600, 38_400, 19_200)  # bits/s that a reader may be set to, the usual one first

CARD_SECONDS = 5.0  # a reader may still talk to a card when its time-out has run out
TRANSACTION_SECONDS = 15  # of waiting for a card: each start blinds the reader for some 20 ms, and shows that it lives
TRANSACTION_SECONDS_MAX = 255  # it is one byte
DECISION_SECONDS = 60.0  # the longest a person waits for an answer (field.md); then the reader is freed
PAUSE_SECONDS = 0.2  # after a transaction without a tap: a reader that fails at once must not make the line hot
REST_SECONDS = 5.0  # after a refusal, which another try will hardly change

TEXT_MIN = 6  # characters of a text worth telling: noise of that length is printable once in 400 times
TEXTS_MAX = 8  # texts told in TEXT_WINDOW_SECONDS: a tampered device prints without end
TEXT_WINDOW_SECONDS = 10.0
