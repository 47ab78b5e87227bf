"""A session's events, numbered, kept, and read by any number of readers at their own pace.

The log is what a lost connection costs nothing for: whoever comes back says the last `seq` it has seen and reads on.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from itertools import takewhile

from engine.events import Partial, Step
from media.errors import SlowReader
from media.events import Quality
from signaling.events import Entry, SessionEvent

ENTRIES_KEPT = 50_000  # an hour of fast speech is about 25,000; beyond it the oldest are forgotten and counted
ENTRIES_BEHIND = 1_000  # how far a reader that was up to date may fall behind
REPLACED = (Partial, Quality)
STEPS_KEPT = 1_000  # 80 s of them: they matter to who reads them as they come, and would push the words out of the log


class EventLog:
    """Appends on one side, any number of `read` iterations on the other. It lives on the event loop.

    Of what replaces its predecessor only the newest is kept: a reader that comes late wants the tail of the words, and
    the quality of the line, as they are now. Of Steps the last STEPS_KEPT are kept.
    """

    def __init__(self) -> None:
        self._settled: deque[Entry] = deque()
        self._newest: dict[type[SessionEvent], Entry] = {}  # of each kind that is replaced
        self._steps: deque[Entry] = deque(maxlen=STEPS_KEPT)
        self._changed = asyncio.Event()
        self._seq = 0
        self.ended = False
        self.dropped = 0

    @property
    def seq(self) -> int:
        """The number of the newest event; 0 before the first."""
        return self._seq

    def append(self, event: SessionEvent, latency: float | None = None) -> None:
        """Number and keep an event. After the end it is too late and nothing happens."""
        if self.ended:
            return
        self._seq += 1
        entry = Entry(self._seq, event, latency)
        if isinstance(event, REPLACED):
            self._newest[type(event)] = entry
        elif isinstance(event, Step):
            self._steps.append(entry)
        else:
            self._keep(entry)
        self._wake()

    def end(self) -> None:
        """Nothing more will come: every reader ends once it has read what there is."""
        self.ended = True
        self._wake()

    async def read(self, after: int = 0) -> AsyncGenerator[Entry, None]:
        """Every entry numbered above `after`, in order, as it comes, until the log ends.

        Raises SlowReader once a reader that was up to date is more than ENTRIES_BEHIND entries behind.
        """
        up_to_date = False
        while True:
            changed = self._changed
            if entries := self._after(after):
                if up_to_date and len(entries) > ENTRIES_BEHIND:
                    raise SlowReader(f"more than {ENTRIES_BEHIND} events were not read")
                for entry in entries:
                    yield entry
                after = entries[-1].seq
            elif self.ended:
                return
            else:
                up_to_date = True
                await changed.wait()

    def _keep(self, entry: Entry) -> None:
        self._settled.append(entry)
        if len(self._settled) > ENTRIES_KEPT:
            self._settled.popleft()
            self.dropped += 1

    def _after(self, seq: int) -> list[Entry]:
        found = [entry for kept in (self._settled, self._steps) for entry in _newer(kept, seq)]
        found.extend(entry for entry in self._newest.values() if entry.seq > seq)
        return sorted(found, key=lambda entry: entry.seq)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _newer(entries: deque[Entry], seq: int) -> Iterator[Entry]:
    """The entries above `seq`, newest first: readers are near the end, so the search is short."""
    return takewhile(lambda entry: entry.seq > seq, reversed(entries))
