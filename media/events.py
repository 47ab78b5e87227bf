"""What the media side tells beside the audio itself. Times are seconds of the caller's audio."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missed:
    """Audio between `start` and `stop` never reached the recognizer: lost beyond repair, or dropped under load."""

    start: float
    stop: float


MediaEvent = Missed
