"""One step for everybody: gather a frame of each slot that has one, step the model, scatter what it said.

Pure: no thread and no clock. A slot gets at most one frame in a step, so a caller who has fed an hour of audio slows
nobody down; what waits is caught up in the steps that follow, as fast as the model makes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.base import PCM, SAMPLE_RATE
from engine.errors import Misuse
from engine.events import Event
from engine.slots import ModelEvent, Slot
from engine.verbs import Verb

Mask = npt.NDArray[np.bool_]


class Model(Protocol):
    """A streaming recognizer that steps a number of rows at once."""

    sample_rate: int
    frame_size: int  # samples of each row that one step hears
    batch_size: int  # rows
    delay: int  # after so many further steps everything heard in a step has been told, word ends included

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        """Hear `pcm` (B, F) in the `active` rows (B,), first forgetting the past of the `reset` rows (B,).

        Returns the events of each row, in order, with times in seconds that the row has heard since its reset. Of a
        Step only the pauses are read. `pcm` is reused: a model that keeps audio copies it.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What a step has for one slot: events, the samples `consumed` since the stream began, and whether it `ended`."""

    slot: Slot
    events: Sequence[Event]
    consumed: int
    ended: bool


class Batch:
    """The slots that are taken, and the model that hears them."""

    def __init__(self, model: Model) -> None:
        if model.sample_rate != SAMPLE_RATE:
            raise Misuse(f"the model hears {model.sample_rate} Hz; the contract is {SAMPLE_RATE} Hz")
        self._model = model
        self._slots: dict[int, Slot] = {}
        self._pcm: PCM = np.zeros((model.batch_size, model.frame_size), dtype=np.float32)  # (B, F)
        self._active: Mask = np.zeros(model.batch_size, dtype=np.bool_)  # (B,)
        self._reset: Mask = np.zeros(model.batch_size, dtype=np.bool_)  # (B,)

    def join(self, slot: Slot) -> None:
        """Seat a new slot; its row must be empty."""
        assert slot.row not in self._slots, f"row {slot.row} is taken"
        self._slots[slot.row] = slot

    def leave(self, slot: Slot) -> None:
        """Empty the slot's row; nothing more is told of it."""
        del self._slots[slot.row]

    def add(self, slot: Slot, verb: Verb, now: float) -> None:
        """Audio or a verb for the slot."""
        slot.add(verb, now)

    @property
    def deadline(self) -> float | None:
        """When there will be something to step although nobody asks: a mark whose patience ends. None: never."""
        return min((slot.deadline for slot in self._slots.values() if slot.deadline is not None), default=None)

    def tick(self, now: float) -> list[Told]:
        """One step. An empty answer means that there is nothing to do until somebody asks, or the deadline."""
        turns = self._gather(now)
        said = self._model.step(self._pcm, self._active, self._reset) if turns else ()
        return self._scatter(turns, said)

    def _gather(self, now: float) -> list[Slot]:
        turns = []
        self._active[:] = False
        self._reset[:] = False
        for slot in self._slots.values():
            frame = slot.next_frame(now)
            if frame is not None:
                self._pcm[slot.row] = frame
                self._active[slot.row] = True
                self._reset[slot.row] = slot.fresh
                turns.append(slot)
        return turns

    def _scatter(self, turns: Sequence[Slot], said: Sequence[Sequence[ModelEvent]]) -> list[Told]:
        for slot in turns:
            slot.hear(said[slot.row])
        return [Told(slot, slot.news(), slot.consumed, slot.ended) for slot in self._slots.values() if slot.changed]
