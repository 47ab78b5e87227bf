"""From the model's time to the caller's: what the model heard less the silence that the engine made up."""

from collections import deque

from engine.base import SAMPLE_RATE

INJECTIONS_KEPT = 64  # nobody tells of a word that is older than so many flushes


class Timeline:
    """Maps seconds heard since the last reset to seconds of the caller's audio.

    A time inside injected silence is the moment at which the silence was put in.
    """

    def __init__(self) -> None:
        self._origin = 0  # samples of the caller's audio before the last reset
        self._heard = 0  # samples heard since then, silence included
        self._forgotten = 0  # samples of injected silence that are no longer kept one by one
        self._injections: deque[list[int]] = deque()  # [position among the samples heard, length]

    def hear(self, live: int, injected: int = 0) -> None:
        """The model heard `live` samples of the caller's audio, then `injected` samples of silence."""
        self._heard += live
        if injected:
            self._inject(injected)
        self._heard += injected

    def restart(self, fed: int) -> None:
        """The model was reset when the caller had fed `fed` samples: its time begins again there."""
        self._origin = fed
        self._heard = self._forgotten = 0
        self._injections.clear()

    def at(self, seconds: float) -> float:
        """The caller's time, in seconds, of what the model heard at `seconds` since its reset."""
        position = seconds * SAMPLE_RATE
        silence: float = self._forgotten
        for start, length in self._injections:
            silence += min(max(position - start, 0), length)
        return max(0.0, (self._origin + position - silence) / SAMPLE_RATE)

    def _inject(self, samples: int) -> None:
        if self._injections and sum(self._injections[-1]) == self._heard:
            self._injections[-1][1] += samples
            return
        self._injections.append([self._heard, samples])
        if len(self._injections) > INJECTIONS_KEPT:
            self._forgotten += self._injections.popleft()[1]
