"""An event loop in virtual time, for one seed one order of everything.

Time stands still while anything can run and then jumps to the next timer. What is ready runs one callback at a
time: in the order in which it became so, as replay wants it, or the next one drawn by a seed, as simulated worlds do.
Asyncio promises the order of ``call_soon`` only to transports and their protocols, and the ones here keep it by their
times. Futures, locks, queues, task groups and time-outs keep their promises by their own state, and must do so in any
order.

There is no thread, no socket and no signal: all such calls raise NotImplementedError, as the abstract loop does.
Whoever connects gets what ``dial`` gives, where a world has set one.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

STEPS_AT_ONE_TIME_MAX = 20_000  # callbacks without time passing: no honest burst here has a tenth of it

T = TypeVar("T")

OWNER: contextvars.ContextVar[int] = contextvars.ContextVar("OWNER", default=0)
"""Whose callbacks these are: 0 the world's, else the number of a process life, which can be ended."""


class StuckError(AssertionError):
    """Nothing can ever run again, or everything runs and no time passes, or the budget of steps is spent."""


class NumberedTask(asyncio.Task[T]):
    """A task whose hash is its number: sets of tasks are walked in the same order in every process."""

    def __init__(self, number: int, coro: Coroutine[Any, Any, T], **given: Any) -> None:
        self.number = number
        super().__init__(coro, **given)

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.AbstractEventLoop):
    """``seed`` None: in order. ``steps_max``: callbacks in all, None for any number.

    ``between``, when set, is called after each; it may run other callbacks. ``passing`` is called with the seconds
    that time is about to jump.
    """

    def __init__(self, seed: object | None, steps_max: int | None) -> None:
        self._rng = None if seed is None else random.Random(f"{seed} loop")
        self._now = 1000.0
        self._ready: deque[tuple[int, asyncio.Handle]] = deque()
        self._timers: list[tuple[float, int, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count(1)
        self._tasks: dict[int, list[NumberedTask[Any]]] = {}
        self._quiet: deque[asyncio.Future[None]] = deque()
        self._steps_max = steps_max
        self._steps_here = 0
        self._running = False
        self.steps = 0
        self.between: Callable[[], None] | None = None
        self.dial: Callable[[Any], Coroutine[Any, Any, asyncio.Transport]] | None = None
        self.passing: Callable[[float], None] | None = None
        self.surprises: list[str] = []

    # --- what runs it ---

    def run_until_complete(self, main: Coroutine[Any, Any, T]) -> T:  # type: ignore[override]
        """Run until it is done. Raises what it raised, or StuckError."""
        task = self.create_task(main, name="main")
        with self._as_the_running_one():
            if self._rng is None and self.between is None:
                self._run_in_order(task)
            while not task.done():
                self._step()
                if self.between is not None:
                    self.between()
        return task.result()

    async def quiet(self) -> None:
        """Return when nothing can run any more before time passes; who waited first goes on alone."""
        waiting = self.create_future()
        self._quiet.append(waiting)
        await waiting

    def end(self) -> None:
        """Bury everybody."""
        with self._as_the_running_one():
            for owner in sorted(self._tasks, reverse=True):
                self.bury(owner)

    @contextmanager
    def _as_the_running_one(self) -> Iterator[None]:
        asyncio._set_running_loop(self)
        self._running = True
        try:
            yield
        finally:
            self._running = False
            asyncio._set_running_loop(None)

    def bury(self, owner: int) -> None:
        """End a life's tasks: its timers never ring, and nothing but its own callbacks runs meanwhile.

        Whoever calls this has cut the life off before: what its ``finally`` blocks do reaches nobody.
        """
        self._timers = [timer for timer in self._timers if timer[2] != owner]
        heapq.heapify(self._timers)
        left = [task for task in self._tasks.pop(owner, []) if not task.done()]
        for _ in range(10):
            for task in left:
                task.cancel("the process died")
            self._run_only(owner)
            left = [task for task in [*left, *self._tasks.pop(owner, [])] if not task.done()]
            if not left:
                self._timers = [timer for timer in self._timers if timer[2] != owner]
                heapq.heapify(self._timers)
                return
        raise StuckError(f"tasks outlive their process: {', '.join(task.get_name() for task in left)}")

    def _step(self) -> None:
        while not self._ready:
            self._go_on()
        if self._rng is None:
            self._run(self._ready.popleft()[1])
            return
        at = self._rng.randrange(len(self._ready)) if len(self._ready) > 1 else 0
        self._ready[at], self._ready[-1] = self._ready[-1], self._ready[at]
        self._run(self._ready.pop()[1])

    def _run_in_order(self, task: asyncio.Task[Any]) -> None:
        """What ``_step`` does, for a hundred thousand taps."""
        ready = self._ready
        while not task.done():
            while not ready:
                self._go_on()
            self._run(ready.popleft()[1])

    def _go_on(self) -> None:
        """Nothing is ready: let who waits for that go on, or else time pass."""
        if not self._quiet:
            self._pass_time()
            return
        self._steps_here = 0  # whoever comes to rest does not run for ever
        waiting = self._quiet.popleft()
        if not waiting.done():
            waiting.set_result(None)

    def _pass_time(self) -> None:
        timers = self._timers
        while timers and timers[0][3].cancelled():
            heapq.heappop(timers)
        if not timers:
            raise StuckError("nothing can ever run again: no callback is ready and no timer is set")
        if timers[0][0] > self._now:
            if self.passing is not None:
                self.passing(timers[0][0] - self._now)
            self._now, self._steps_here = timers[0][0], 0
        while timers and timers[0][0] <= self._now:
            _, _, owner, handle = heapq.heappop(timers)
            if not handle.cancelled():
                self._ready.append((owner, handle))

    def _run(self, handle: asyncio.Handle) -> None:
        self.steps += 1
        self._steps_here += 1
        if self._steps_here > STEPS_AT_ONE_TIME_MAX:
            raise StuckError(f"{STEPS_AT_ONE_TIME_MAX} steps and no time passed; the last is {handle!r}")
        if self._steps_max is not None and self.steps > self._steps_max:
            raise StuckError(f"the budget of {self._steps_max} steps is spent; the last is {handle!r}")
        if not handle.cancelled():
            handle._run()

    def _run_only(self, owner: int) -> None:
        while mine := [one for one in self._ready if one[0] == owner]:
            others = [one for one in self._ready if one[0] != owner]
            self._ready.clear()
            self._ready.extend(others)
            for _, handle in mine:
                self._run(handle)

    # --- what asyncio asks of a loop ---

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def get_debug(self) -> bool:
        return False

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((_owner(context), handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), _owner(context), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        task = NumberedTask(next(self._numbers), coro, loop=self, name=name, context=context)
        mine = self._tasks.setdefault(_owner(context), [])
        if len(mine) % 256 == 255:
            mine[:] = [one for one in mine if not one.done()]
        mine.append(task)
        return task

    async def create_connection(
        self, protocol_factory: Callable[[], Any], *where: Any, **how: Any
    ) -> tuple[asyncio.Transport, Any]:
        if self.dial is None:
            raise NotImplementedError(f"nobody is there to be connected to: {where} {how}")
        protocol = protocol_factory()
        return await self.dial(protocol), protocol

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing may go unseen: whoever runs the world looks here."""
        self.surprises.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asyncio's call; a cancelled timer is passed over when its time comes."""


def virtual_loop(seed: object | None, steps_max: int | None) -> VirtualLoop:
    """A loop. What the types miss are threads, sockets and signals: the abstract loop refuses them, which is meant."""
    return VirtualLoop(seed, steps_max)  # type: ignore[abstract]


def _owner(context: contextvars.Context | None) -> int:
    return OWNER.get() if context is None else context.get(OWNER, 0)
