"""What the media side tells beside the audio itself. Times are seconds of the caller's audio."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missed:
    """Audio between `start` and `stop` never reached the recognizer: lost beyond repair, or dropped under load."""

    start: float
    stop: float


@dataclass(frozen=True, slots=True)
class Digit:
    """A key of a telephone was pressed (RFC 4733): 0 to 9, *, #, A to D. Told once a press, when it has ended."""

    digit: str
    at: float
    duration: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How the network treated the caller since the last one of these. Fractions are of the packets that were sent;
    times are seconds; `mos` is from 1 (bad) to 4.4 (the E-model, ITU-T G.107)."""

    loss: float  # before any repair
    repaired: float  # whole again from redundancy
    late: float  # came after their place was given up
    reordered: float  # came out of order and in time
    concealed: float  # seconds of audio made up
    jitter: float  # RFC 3550 section 6.4.1
    round_trip: float | None  # None while unknown
    mos: float


MediaEvent = Missed | Digit | Quality
