"""The witness of a replay: hears what the daemon does now and holds it against what the log says of then.

What agrees is forgotten at once; so a day of a hundred thousand taps needs room for its differences only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from tpsd.asking import Answered
from tpsd.core.candidate import Candidate
from tpsd.core.settlement import Settlement
from tpsd.core.spooling import unnoted
from tpsd.domain.authorisation import Claimed
from tpsd.domain.notice import MailRow
from tpsd.domain.outcome import Exchange, Outcome
from tpsd.domain.tap import TapReport
from tpsd.domain.time import Micros
from tpsd.ports import Taken
from tpsd.replay.differences import Aspect, Difference, differing, leaves, same
from tpsd.replay.past import Past, Step, step
from tpsd.sfey.wire import Profile
from tpsd.taplog import lines
from tpsd.taplog.guard import masked
from tpsd.taplog.lines import Fields, outline_of

_VERDICT = ("told", "disposition", "note")
_STATE = ("state", "cause")


class Comparison:
    """``witness.Witness``. ``expect`` before each tap; ``finish`` at the end."""

    def __init__(self, past: Past, profile: Profile) -> None:
        self._past = past
        self._outline = outline_of(profile.fields["tag"])
        self._made_at = profile.fields["tapped_at"]
        self._tap: tuple[Micros, Fields, int] | None = None
        self._places: dict[str, tuple[Micros, int]] = {}  # in the spool, of taps that have a transaction only now
        self._parted: dict[str, list[Step]] = defaultdict(list)  # what came now instead of the first that differs
        self._followers: dict[str, tuple[Any, Any]] = {}  # requests without a card that differ
        self._mails: Counter[str] = Counter()
        self._attended: Counter[str] = Counter()
        self._cache: dict[Step, Step] = {}
        self.found: list[Difference] = []

    def expect(self, at: Micros, tap: Fields, place: int) -> None:
        """This tap is given next; ``place`` in the spool."""
        self._tap = (at, tap, place)

    def finish(self) -> list[Difference]:
        """Everything that differs, in no order."""
        self._find_taps()
        for uuid in [*self._past.steps, *(uuid for uuid in self._parted if uuid not in self._past.steps)]:
            self._compare_steps(uuid, self._past.steps.get(uuid, []), self._parted.get(uuid, []))
        for uuid, (before, after) in self._followers.items():
            self.found.append(Difference(Aspect.REQUEST, *self._named(uuid), uuid, before, after))
        self._compare_counts(Aspect.MAIL, Counter(subject for _, subject in self._past.mails), self._mails)
        self._compare_counts(Aspect.JOURNEY, Counter(self._past.attended), self._attended)
        return self.found

    # --- the witness ---

    def took(self, candidate: Candidate, taken: Taken, now: Micros, *, can_take_pin: bool) -> None:
        """See ``witness.Witness``."""
        if self._tap is None:
            return
        at, tap, place = self._tap
        after: Fields = lines.decided(candidate, taken, self._outline)
        if after["request"] != (tap.get("decided") or {}).get("request"):
            after = masked(after)  # the log is; where they agree without, nothing was to be masked
        then: Fields = tap.get("decided") or {"told": {"reason": "internal"}}
        then = {**then, "note": unnoted(then.get("note"))}  # a replay has its journal at hand
        if after["uuid"] is not None and after["uuid"] != then.get("uuid"):
            self._places.setdefault(after["uuid"], (at, place))
        self._compare(Aspect.VERDICT, at, tap, then, after, _VERDICT)
        if not same(then.get("request"), after["request"]):
            self._differs(Aspect.REQUEST, at, tap, after["uuid"], then.get("request"), after["request"])
        if then.get("request") is not None and after["request"] is not None:
            self._compare(Aspect.OUTCOME, at, tap, then, after, _STATE)

    def rejected(self, report: TapReport, lane: str, digest: bytes, taken: Taken, *, timed: bool) -> None:
        """See ``witness.Witness``."""
        if self._tap is None:
            return
        at, tap, _ = self._tap
        then = tap.get("decided")
        if then is not None:
            self._differs(Aspect.VERDICT, at, tap, None, {"told": then.get("told")}, {"told": {"reason": "internal"}})

    def sent(self, claimed: Claimed, exchange: Exchange, seconds: float) -> None:
        """See ``witness.Witness``."""
        uuid = str(claimed.uuid)
        if claimed.number != 1 or uuid not in self._past.requests:
            return
        fields, carded = self._outline(claimed.body)
        then, now = self._past.requests[uuid], masked({"path": claimed.path, "credential": claimed.credential})
        before, after = (leaves(given) for given in (then["fields"], masked(fields)))
        before.pop(self._made_at, None)  # such a request is made when an answer or an order has been read, and a
        after.pop(self._made_at, None)  # commit takes another millisecond each time
        before, after = ({**given, **rest} for given, rest in ((_bare(then), before), (now, after)))
        if not carded and not same(before, after):
            self._followers[uuid] = differing(before, after)

    def settled(self, claimed: Claimed, outcome: Outcome, settlement: Settlement, jitter: float | None) -> None:
        """See ``witness.Witness``."""
        if not settlement.uncounted:
            self._step(str(claimed.uuid), step(lines.settled(claimed, outcome, settlement, jitter), None))

    def answered(self, claimed: Claimed, outcome: Outcome, answered: Answered) -> None:
        """See ``witness.Witness``."""
        told = answered.told
        said = None if told is None else (int(told.verdict), told.reason, told.amount)
        self._step(str(claimed.uuid), step(lines.answered(claimed, outcome, answered), said))

    def enquired(self, uuid: UUID, exchange: Exchange, seconds: float) -> None:
        """See ``witness.Witness``."""

    def probed(self, host: str, exchange: Exchange) -> None:
        """See ``witness.Witness``."""

    def mailed(self, mail: MailRow) -> None:
        """See ``witness.Witness``."""
        self._mails[masked(mail.subject)] += 1

    def linked(self, lane: str, state: str, reason: str, serial: str | None) -> None:
        """See ``witness.Witness``."""

    def ordered(self, order: str, subject: str, who: str, given: Mapping[str, object]) -> None:
        """See ``witness.Witness``."""

    def freed(self, uuid: str, draw: float, new: str | None) -> None:
        """See ``witness.Witness``."""

    def attended(self, done: Mapping[str, int]) -> None:
        """See ``witness.Witness``."""
        self._attended.update(done)

    # --- comparing ---

    def _step(self, uuid: str, now: Step) -> None:
        waiting = self._past.steps.get(uuid)
        if uuid not in self._parted and waiting and waiting[0] == now:
            waiting.pop(0)
            if not waiting:
                del self._past.steps[uuid]
            return
        self._parted[uuid].append(self._cache.setdefault(now, now))

    def _compare_steps(self, uuid: str, then: list[Step], now: list[Step]) -> None:
        """From the first attempt that differs on."""
        at, n, tap, lane = self._named(uuid)

        def differs(aspect: Aspect, before: Any, after: Any) -> None:
            if before != after:
                self.found.append(Difference(aspect, at, n, tap, lane, uuid, before, after))

        differs(Aspect.OUTCOME, _end(then), _end(now))
        differs(Aspect.LADDER, _waits(then), _waits(now))
        differs(Aspect.MONEY, _charged(then), _charged(now))
        differs(Aspect.VERDICT, _told(then), _told(now))

    def _compare_counts(self, aspect: Aspect, then: Counter[str], now: Counter[str]) -> None:
        for name in dict.fromkeys((*then, *now)):
            if then[name] != now[name]:
                before, after = {name: then[name]}, {name: now[name]}
                self.found.append(Difference(aspect, self._past.ends_at, 0, "", "", None, before, after))

    def _compare(
        self, aspect: Aspect, at: Micros, tap: Fields, then: Fields, now: Fields, keys: tuple[str, ...]
    ) -> None:
        before, after = ({key: given.get(key) for key in keys} for given in (then, now))
        if not same(before, after):
            self._differs(aspect, at, tap, now["uuid"] or then.get("uuid"), before, after)

    def _differs(self, aspect: Aspect, at: Micros, tap: Fields, uuid: str | None, then: Any, now: Any) -> None:
        before, after = differing(then, now)
        self.found.append(Difference(aspect, at, tap["n"], tap_name(tap), tap["lane"], uuid, before, after))

    def _find_taps(self) -> None:
        """Look once for the taps of transactions that differ: to know them all would cost more than the rest."""
        wanted = {*self._past.steps, *self._parted, *self._followers} - self._places.keys()
        for at, _, place in self._past.taps if wanted else ():
            uuid = (self._past.tap(place).get("decided") or {}).get("uuid")
            if uuid in wanted:
                self._places.setdefault(uuid, (at, place))

    def _named(self, uuid: str) -> tuple[Micros, int, str, str]:
        if uuid not in self._places:
            return self._past.ends_at, 0, "", ""
        at, place = self._places[uuid]
        tap = self._past.tap(place)
        return at, tap["n"], tap_name(tap), tap["lane"]


def tap_name(tap: Mapping[str, Any]) -> str:
    """As its validator calls it; by the journal's number where that could not be read."""
    if tap.get("boot") is None or tap.get("counter") is None:
        return f"#{tap['number']}"
    return f"{tap['serial']}:{tap['boot']}:{tap['counter']}"


def _bare(request: Mapping[str, Any]) -> Fields:
    return {key: value for key, value in request.items() if key != "fields"}


def _end(steps: list[Step]) -> Any:
    return [f"{one.outcome} → {one.state}" for one in steps[-1:]] or None


def _waits(steps: list[Step]) -> list[float]:
    return [one.wait for one in steps if one.wait is not None]


def _charged(steps: list[Step]) -> int:
    return sum(one.charged or 0 for one in steps)


def _told(steps: list[Step]) -> list[Any]:
    return [list(one.told) for one in steps if one.told is not None]
