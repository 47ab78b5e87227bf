"""Waiting for a place while all are taken: fair, bounded, and told where one stands.

Only the first in line tries to take a place: when one may have become free here, and now and then, because engines on
other machines free places without telling.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from engine.errors import EngineError, Full, Unavailable
from signaling.line import FairLine

RETRY = 1.0  # seconds after which the first tries again, whatever it has heard

T = TypeVar("T")
Told = Callable[[int], None]  # the position in line, 1 for the first, each time it has changed


@dataclass(eq=False, slots=True)
class Waiting:
    """One who waits. `look`: there is something to look at, its turn or its dismissal."""

    asker: str
    told: Told
    position: int = 0
    look: asyncio.Event = field(default_factory=asyncio.Event)
    dismissal: Exception | None = None


class Queue:
    """The line before one engine. `patience`: seconds that one waits at most, 0 is not at all; `count`: is told how
    each ended: served, expired, left, refused."""

    def __init__(self, patience: float, length: int, count: Callable[[str], None]) -> None:
        self.patience = patience
        self._line: FairLine[Waiting] = FairLine(length)
        self._count = count

    def __len__(self) -> int:
        return len(self._line)

    async def place(
        self,
        attempt: Callable[[], Awaitable[T]],
        asker: str,
        told: Told = lambda position: None,
        left: "asyncio.Future[None] | None" = None,
    ) -> T:
        """What `attempt` gives, as soon as it is this asker's turn and it gives anything.

        `told`: hears of the position; `left`: done once the caller has gone. Raises what `attempt` does: at once, but
        for Full, and in line also for Unavailable, which comes when the patience ends.
        """
        if not self._line:
            try:
                return await attempt()
            except Full:
                if not self.patience:
                    raise
        with self._standing(Waiting(asker, told), left) as waiting:
            return await self._wait(waiting, attempt)

    def freed(self) -> None:
        """A place may be free."""
        if first := self._line.first:
            first.look.set()

    def dismiss(self, why: Exception) -> None:
        """Nobody waits any longer."""
        for waiting in self._line.order():
            waiting.dismissal = why
            waiting.look.set()

    async def _wait(self, waiting: Waiting, attempt: Callable[[], Awaitable[T]]) -> T:
        last: EngineError = Full()
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    await self._turn(waiting)
                    try:
                        given = await attempt()
                    except (Full, Unavailable) as error:
                        last = error
                        continue
                    self._served(waiting)
                    return given
        except TimeoutError:
            self._count("expired")
            raise last from None

    async def _turn(self, waiting: Waiting) -> None:
        """Until it is the first's turn to try. Raises its dismissal."""
        while True:
            first = waiting is self._line.first
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY if first else None):
                    await waiting.look.wait()
            waiting.look.clear()
            if waiting.dismissal:
                raise waiting.dismissal
            if waiting is self._line.first:
                return

    @contextlib.contextmanager
    def _standing(self, waiting: Waiting, left: "asyncio.Future[None] | None") -> Iterator[Waiting]:
        """In line, until the caller leaves or the wait is over."""

        def gone(_: "asyncio.Future[None]") -> None:
            self._dismiss(waiting, "left")

        if displaced := self._line.join(waiting.asker, waiting):
            self._dismiss(displaced, "refused")
        if left:
            left.add_done_callback(gone)
        self._tell()
        try:
            yield waiting
        finally:
            if left:
                left.remove_done_callback(gone)
            self._line.leave(waiting.asker, waiting)
            self._tell()

    def _served(self, waiting: Waiting) -> None:
        """It has a place: askers take turns, and there may be another place for the next."""
        self._count("served")
        if waiting is self._line.first:
            self._line.serve()
        self.freed()

    def _dismiss(self, waiting: Waiting, how: str) -> None:
        """It is told once, and counted once: a caller may leave after the line was too long for it."""
        if waiting.dismissal is None:
            self._count(how)
            waiting.dismissal = Full()
            waiting.look.set()

    def _tell(self) -> None:
        """Each where it stands now; the first, if it has just become it, that it may try."""
        for position, waiting in enumerate(self._line.order(), 1):
            if waiting.position != position:
                waiting.position = position
                waiting.told(position)
                if position == 1:
                    waiting.look.set()
