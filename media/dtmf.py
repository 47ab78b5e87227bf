"""Keys pressed on a telephone, as packets tell of them (RFC 4733). Pure: it is told the time.

A press is many packets of one timestamp with a growing duration; the last one says that it has ended and is sent three
times. A press is told once, when its end came, or the next one began, or nothing more came for a while.
"""

from dataclasses import dataclass

from media.events import Digit

KEYS = "0123456789*#ABCD"  # by event code, RFC 4733 section 3.2; what is beyond them is no key
LONGEST_SILENCE = 0.2  # seconds without a packet after which a press is over; packets come every 20 to 50 ms
NEARLY_FULL = 0xE000  # of the 16 bits of a duration: beyond, a press goes on in another segment (section 2.5.1.3)
QUICKEST = 0.04  # seconds from one press to the next: tones that are shorter count as none (ITU-T Q.24)
MOST_AT_ONCE = 32  # presses that may come together all the same, after an outage
TRUSTED = 1.0  # seconds that a timestamp may place a press away from where its packets came


@dataclass(frozen=True, slots=True)
class Event:
    """One packet's report (section 2.3): `duration` so far, in ticks of the payload type's clock."""

    code: int
    ended: bool
    duration: int


def parse(payload: bytes) -> Event:
    """Read a payload. The volume and the reserved bit mean nothing here. Raises ValueError naming the fault."""
    if len(payload) < 4:
        raise ValueError("telephone event is shorter than its four bytes")
    return Event(payload[0], bool(payload[1] & 0x80), int.from_bytes(payload[2:4]))


@dataclass(slots=True)
class _Press:
    code: int
    timestamp: int  # of the present segment
    at: float
    heard: float
    segments: float = 0.0  # seconds of the segments before it
    ticks: int = 0
    seconds: float = 0.0

    def grow(self, event: Event, rate: int, now: float) -> None:
        self.ticks = max(self.ticks, event.duration)
        self.seconds = self.segments + self.ticks / rate
        self.heard = now

    def goes_on_in(self, event: Event, timestamp: int) -> bool:
        return event.code == self.code and timestamp > self.timestamp and self.ticks >= NEARLY_FULL


class Keypad:
    """One sender's event packets in, in the order of their sequence; one `Digit` a press out."""

    def __init__(self) -> None:
        self.dropped = 0  # presses beyond those that are told
        self._press: _Press | None = None
        self._spare = float(MOST_AT_ONCE)  # presses that may be told,
        self._spare_at = 0.0  # and when that was so
        self._told: tuple[int, int] | None = None  # code and timestamp of the last press that was told

    @property
    def deadline(self) -> float | None:
        """When the present press is over although no end came; None while no key is down."""
        return None if self._press is None else self._press.heard + LONGEST_SILENCE

    def put(
        self, event: Event, timestamp: int, *, rate: int, position: float, begun: float | None, now: float
    ) -> list[Digit]:
        """Take a packet; the presses that have ended with it.

        `timestamp` is widened. `rate`: ticks a second of the duration. `position`: seconds of the caller's audio so
        far; `begun`: where in it the timestamp lies, as far as that can be told. Neither is trusted blindly: browsers
        mix the clocks of the audio and of the payload type, so a timestamp that points elsewhere is not believed.
        """
        if event.code >= len(KEYS) or (event.code, timestamp) == self._told:
            return []
        ended: list[Digit] = []
        press = self._press
        if press is not None and timestamp != press.timestamp and press.goes_on_in(event, timestamp):
            press.segments, press.ticks, press.timestamp = press.seconds, 0, timestamp
        elif press is None or (event.code, timestamp) != (press.code, press.timestamp):
            ended = self.flush()
            at = _placed(position, begun, event.duration / rate)
            press = self._press = _Press(event.code, timestamp, at, now)
        press.grow(event, rate, now)
        return ended + self.flush() if event.ended else ended

    def flush(self) -> list[Digit]:
        """The key that is down, if any: no more will be heard of it."""
        press, self._press = self._press, None
        if press is None:
            return []
        self._told = press.code, press.timestamp
        self._spare = min(MOST_AT_ONCE, self._spare + (press.heard - self._spare_at) / QUICKEST)
        self._spare_at = press.heard
        if self._spare < 1:
            self.dropped += 1
            return []
        self._spare -= 1
        return [Digit(KEYS[press.code], press.at, press.seconds)]


def _placed(position: float, begun: float | None, duration: float) -> float:
    """Where a press began: where its timestamp says if that is near, else its duration before now."""
    counted_back = position - duration
    if begun is None or abs(begun - counted_back) > TRUSTED:
        begun = counted_back
    return min(max(begun, 0.0), position)
