"""Taps, candidates and settlements for the journal's tests. Scheme test cards only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from device.tlv import Tlv
from tpsd.core.intake import (
    Candidate,
    CardKeys,
    Decide,
    LanePolicy,
    Operator,
    Setting,
    decide,
    prepare,
)
from tpsd.core.outcomes import classify
from tpsd.core.retry import DEFAULT_LADDER
from tpsd.core.settlement import Settlement
from tpsd.core.settlement import settle as settle_tap
from tpsd.domain.authorisation import Claimed
from tpsd.domain.outcome import Answer, Exchange, NoAnswer, NoConnection, Outcome
from tpsd.domain.tap import Kind, TapReport
from tpsd.domain.time import SECOND, Micros
from tpsd.ports import Journal, Taken
from tpsd.sfey.messages import transaction
from tpsd.sfey.wire import DEVICE_V1
