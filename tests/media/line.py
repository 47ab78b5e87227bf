"""A track with the time in our hands, and a sender of one packet after another."""

from collections.abc import Iterable

from media.codecs import Format
from media.events import Digit, MediaEvent
from media.frames import Frame
from media.red import Block
from media.rtp import Arrival
from media.track import Track
from media.voice import OpusDecoder
from tests.media.caller import FRAME, RATE, opus_packets, tone
from tests.media.clock import FakeClock
from tests.media.redundancy import wrap

OPUS = Format(111, "opus", 48_000, 2)
PCMU = Format(0, "PCMU", 8_000)
G722 = Format(9, "G722", 8_000)
CN = Format(13, "CN", 8_000)
EVENT_48 = Format(110, "telephone-event", 48_000)
EVENT_8 = Format(126, "telephone-event", 8_000)
RED = Format(63, "red", 48_000, 2, repeats=111)
PTIME = 960
DECODERS: tuple[OpusDecoder, ...] = ("libopus", "pyav")
VOICE = opus_packets(tone(4.0))
HUSH = opus_packets(0 * tone(0.2))[-1]  # a packet of silence


class Line:
    """A track, its clock, and a sender of one 20 ms packet after another."""

    def __init__(self, backlog: float = 60.0, decoder: OpusDecoder = "auto") -> None:
        self.clock = FakeClock()
        self.track = Track(
            [RED, OPUS, PCMU, G722, CN, EVENT_48, EVENT_8],
            rate=RATE,
            frame_samples=FRAME,
            backlog=backlog,
            decoder=decoder,
            clock=self.clock,
        )

    def hear(self, index: int, *, at: int | None = None, payload: bytes | None = None, format: Format = OPUS) -> None:
        """Packet number `index`, whose audio begins `at` packets from the start."""
        ticks = PTIME * format.clock_rate // 48_000
        timestamp = (4_294_900_000 + (index if at is None else at) * ticks) % 2**32
        voice = VOICE[index % len(VOICE)] if payload is None else payload
        self.track.receive(Arrival(7, format.payload_type, (65_530 + index) % 65_536, timestamp, voice))

    def hear_again(self, index: int, *, depth: int = 1) -> None:
        """Packet number `index` as RED, with the `depth` packets before it."""
        older = [Block(111, back * PTIME, VOICE[(index - back) % len(VOICE)]) for back in range(depth, 0, -1)]
        self.hear(index, payload=wrap([*older, Block(111, 0, VOICE[index % len(VOICE)])]), format=RED)

    def speak(self, indexes: Iterable[int]) -> None:
        """Packets 20 ms apart."""
        for index in indexes:
            self.hear(index)
            self.clock.advance(0.02)

    def heard(self) -> list[Frame | MediaEvent]:
        """What came out so far."""
        queue = aiter(self.track)
        items = list(queue._items)
        queue._items.clear()
        queue._frames = 0
        return items

    def frames(self) -> list[Frame]:
        return [item for item in self.heard() if isinstance(item, Frame)]

    def digits(self) -> list[Digit]:
        return [item for item in self.heard() if isinstance(item, Digit)]


def loudness(frames: list[Frame]) -> list[float]:
    return [round(float(frame.pcm.std()), 2) for frame in frames]
