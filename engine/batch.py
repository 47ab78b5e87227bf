"""One step for everybody: gather a frame of each slot that has one, step the model, scatter what it said.

Pure: no thread and no clock. A slot gets at most one frame in a step, so a caller who has fed an hour of audio slows
nobody down; what waits is caught up in the steps that follow, as fast as the model makes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.base import PCM, SAMPLE_RATE, Upkeep
from engine.errors import Misuse
from engine.events import Event
from engine.pace import Pace
from engine.slots import ModelEvent, Slot, Turn
from engine.verbs import Verb

CATCHING_UP = 4  # when steps are slow, one in so many rows may catch up in a step

Mask = npt.NDArray[np.bool_]


class Model(Protocol):
    """A streaming recognizer that steps a number of rows at once.

    It belongs to one thread. Between two steps of a row it may be told to `save` and to `restore` that row:

        save, step (silence), ..., step (silence), restore, step (audio)

    is for the audio as if the silence had never been. There are at most `delay` + 1 steps between the two, or as many
    as a row that is Behind takes to read all; and a row that was reset is not restored to what was saved before.
    """

    sample_rate: int
    frame_size: int  # samples of each row that one step hears
    batch_size: int  # rows
    delay: int  # after so many more steps what a step heard has been told, word ends included; but see Behind
    hurried: bool  # set before a step: steps are slow, and what can wait is to wait
    upkeep: Upkeep  # replaced and never changed: another thread may read it

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        """Hear `pcm` (B, F) in the `active` rows (B,), first forgetting the past of the `reset` rows (B,).

        Returns the events of each row, in order, with times in seconds that the row has heard since its reset. Of a
        Step only the pauses are read. `pcm` and the masks are reused: a model that keeps them copies them. A row is
        reset only in a step in which it is active.
        """
        ...

    def save(self, rows: Mask) -> None:
        """Remember these rows (B,) as they are: a flush is about to let them hear silence."""
        ...

    def restore(self, rows: Mask) -> None:
        """Take these rows (B,) back to what was saved, their time included. It is called once for each save at most;
        the next save replaces what was remembered."""
        ...

    def resize(self, batch_size: int) -> None:
        """Hold so many rows from now on, at most as many as it was loaded with, and forget what all of them heard."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What a step has for one slot: events, the samples `consumed` since the stream began, and whether it `ended`."""

    slot: Slot
    events: Sequence[Event]
    consumed: int
    ended: bool


class Batch:
    """The slots that are taken, and the model that hears them.

    `pace` is told by whoever runs the steps how long they take. A slot is ready when it has a frame; those who became
    ready first are served first.
    """

    def __init__(self, model: Model) -> None:
        if model.sample_rate != SAMPLE_RATE:
            raise Misuse(f"the model hears {model.sample_rate} Hz; the contract is {SAMPLE_RATE} Hz")
        self.size, self.frame_size, self.delay = model.batch_size, model.frame_size, model.delay
        self.pace = Pace(self.size)
        self.rows = 0  # that the last tick has stepped
        self._model = model
        self._slots: dict[int, Slot] = {}
        self._ready: dict[Slot, None] = {}  # in the order in which they became ready
        self._patient: set[Slot] = set()  # with a deadline
        self._changed: dict[Slot, None] = {}  # with something to tell
        self._awaited: set[Slot] = set()  # that the next step waits for ...
        self._until = 0.0  # ... until then
        self._pcm: PCM = np.zeros((model.batch_size, model.frame_size), dtype=np.float32)  # (B, F)
        self._active, self._reset, self._save, self._restore = (_mask(model) for _ in range(4))  # (B,)

    @property
    def upkeep(self) -> Upkeep:
        """What was done to keep the model well; another thread may ask."""
        return self._model.upkeep

    def join(self, slot: Slot) -> None:
        """Seat a new slot; its row must be empty."""
        assert slot.row not in self._slots, f"row {slot.row} is taken"
        self._slots[slot.row] = slot

    def leave(self, slot: Slot) -> None:
        """Empty the slot's row; nothing more is told of it."""
        del self._slots[slot.row]
        self._ready.pop(slot, None)
        self._changed.pop(slot, None)
        self._patient.discard(slot)
        self._awaited.discard(slot)

    def add(self, slot: Slot, verb: Verb, now: float) -> None:
        """Audio or a verb for the slot."""
        slot.add(verb, now)
        self._look_at(slot, now)

    def due(self, now: float) -> float | None:
        """When the next tick is to be; in the past or `now`: at once. None: not until somebody asks for something."""
        if self._changed or (self._ready and not self._awaited):
            return now
        times = [slot.deadline for slot in self._patient if slot.deadline is not None]
        return min([*times, self._until] if self._ready else times, default=None)

    def tick(self, now: float) -> list[Told]:
        """Step if it is time to, and tell what there is to tell."""
        for slot in [slot for slot in self._patient if slot.deadline is not None and slot.deadline <= now]:
            slot.expire()
            self._look_at(slot, now)
        turns = self._pick(now) if self._ready and not (self._awaited and now < self._until) else []
        self.rows = len(turns)
        if turns:
            self._step(turns, now)
        told = [Told(slot, slot.news(), slot.consumed, slot.ended) for slot in self._changed]
        self._changed.clear()
        return told

    def _look_at(self, slot: Slot, now: float) -> None:
        """See what has become of a slot that was added to, or has heard a frame."""
        turn = slot.turn(now)
        if slot.changed:
            self._changed[slot] = None
        if slot.deadline is None:
            self._patient.discard(slot)
        else:
            self._patient.add(slot)
        if turn is None:
            self._ready.pop(slot, None)
            return
        if not self._ready:
            self._open_window(now)
        self._ready[slot] = None
        self._awaited.discard(slot)
        if slot.hurried:
            self._awaited.clear()

    def _open_window(self, now: float) -> None:
        """The first slot is ready: see who else is about to be, and how long the step may wait for them."""
        wait = self.pace.gather
        self._until = now + wait
        self._awaited = {slot for slot in self._slots.values() if abs(slot.expected - now) < wait}

    def _pick(self, now: float) -> list[Slot]:
        """The slots of this step: all that are ready, unless steps are slow; then a few of those who are not live."""
        if not self.pace.slow:
            return list(self._ready)
        turns = [(turn, slot) for slot in self._ready if (turn := slot.turn(now)) is not None]
        live = [slot for turn, slot in turns if turn is Turn.LIVE]
        others = sorted(((turn, slot) for turn, slot in turns if turn is not Turn.LIVE), key=lambda pair: pair[0])
        return live + [slot for _, slot in others[: max(1, len(self._active) // CATCHING_UP)]]

    def _step(self, turns: Sequence[Slot], now: float) -> None:
        self._gather(turns, now)
        if self._restore.any():
            self._model.restore(self._restore)
        if self._save.any():
            self._model.save(self._save)
        self._model.hurried = self.pace.slow
        said = self._model.step(self._pcm, self._active, self._reset)
        self._scatter(turns, said, now)

    def _gather(self, turns: Sequence[Slot], now: float) -> None:
        for mask in (self._active, self._reset, self._save, self._restore):
            mask[:] = False
        for slot in turns:
            row = slot.row
            self._pcm[row] = slot.take(now)
            self._active[row] = True
            self._reset[row] = slot.fresh
            self._save[row] = slot.save
            self._restore[row] = slot.restore

    def _scatter(self, turns: Sequence[Slot], said: Sequence[Sequence[ModelEvent]], now: float) -> None:
        for slot in turns:
            del self._ready[slot]
        for slot in turns:
            slot.hear(said[slot.row])
            self._look_at(slot, now)
        self._awaited.clear()


def _mask(model: Model) -> Mask:
    return np.zeros(model.batch_size, dtype=np.bool_)
