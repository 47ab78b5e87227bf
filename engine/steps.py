"""The Steps of an engine that takes none: one for each frame heard, with what a voice detector knows of pauses. Pure.

moshi-server's clients count Steps as their clock and go by the third of four probabilities, those of a pause of 0.5, 1,
2 and 3 seconds. A detector does not know what was said: it takes a pause for the likelier the longer it has lasted, and
for certain when half of it has passed. So a turn ends, for a client that waits for 0.6, after 0.6 seconds of silence.
"""

from engine.base import FRAME_SAMPLES, SAMPLE_RATE
from engine.events import Step

PAUSES = (0.5, 1.0, 2.0, 3.0)  # seconds


class Steps:
    """Counts the frames of one stream; positions are samples, those of frames count from `origin`."""

    def __init__(self) -> None:
        self._index = 0
        self._next = FRAME_SAMPLES  # where the frame that comes next is whole

    def restart(self, origin: int) -> None:
        """What is heard next is at `origin`; a frame that was not whole is forgotten. The numbers go on."""
        self._next = origin + FRAME_SAMPLES

    def hear(self, position: int, silence: float, fed: int) -> list[Step]:
        """The frames that are whole at `position`, after so many seconds of silence; audio was fed up to `fed`."""
        steps: list[Step] = []
        while self._next <= position:
            self._index += 1
            steps.append(Step(self._index, probabilities(silence), (fed - self._next) / SAMPLE_RATE))
            self._next += FRAME_SAMPLES
        return steps


def probabilities(silence: float) -> tuple[float, ...]:
    """How likely a pause of each length in PAUSES is after so many seconds of silence."""
    return tuple(min(1.0, 2 * silence / pause) for pause in PAUSES)
