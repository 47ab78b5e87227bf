"""Keys of a telephone and comfort noise among the packets of a call."""

import struct

import pytest

from media.codecs import Format
from media.events import Digit
from media.frames import Frame
from media.red import Block
from media.rtp import Arrival
from tests.media.line import CN, EVENT_8, EVENT_48, OPUS, PCMU, PTIME, RED, VOICE, Line, loudness
from tests.media.redundancy import wrap

CODES = {key: code for code, key in enumerate("0123456789*#ABCD")}


class Phone(Line):
    """Speaks and presses keys as Chromium does: the audio pauses while a key is down, its clock goes on."""

    def __init__(self, audio: Format = OPUS, event: Format = EVENT_8) -> None:
        super().__init__()
        self.audio = audio
        self.event = event
        self.seq = 100
        self.place = 0  # in packets of 20 ms
        self.lose: set[int] = set()  # sequence numbers

    @property
    def timestamp(self) -> int:
        return 7_000 + self.place * PTIME * self.audio.clock_rate // 48_000

    def send(self, format: Format, timestamp: int, payload: bytes) -> None:
        if self.seq not in self.lose:
            self.track.receive(Arrival(7, format.payload_type, self.seq % 65_536, timestamp % 2**32, payload))
        self.seq += 1
        self.clock.advance(0.02)

    def talk(self, packets: int) -> None:
        for _ in range(packets):
            voice = VOICE[self.place % len(VOICE)] if self.audio is OPUS else bytes(range(160))
            self.send(self.audio, self.timestamp, voice)
            self.place += 1

    def press(self, key: str, packets: int = 5, *, timestamp: int | None = None) -> None:
        """Hold a key for so many packets' time, and send its end three times."""
        begun = self.timestamp if timestamp is None else timestamp
        step = self.event.clock_rate // 50
        for index in range(1, packets + 3):
            ended = index >= packets
            payload = struct.pack("!BBH", CODES[key], 0x8A if ended else 0x0A, min(index, packets) * step)
            self.send(self.event, begun, payload)
        self.place += packets + 2


def silence_of(line: Line) -> float:
    return line.track.stats.silent_seconds


@pytest.mark.parametrize(("audio", "event"), [(OPUS, EVENT_8), (OPUS, EVENT_48), (PCMU, EVENT_8)])
def test_keys_are_told_where_they_were_pressed_and_their_pause_is_silent_once(audio: Format, event: Format) -> None:
    phone = Phone(audio, event)
    phone.talk(10)
    for key in "12#":
        phone.press(key)
    phone.talk(11)
    phone.clock.advance(0.06)
    items = phone.heard()
    digits = [item for item in items if isinstance(item, Digit)]
    assert [digit.digit for digit in digits] == ["1", "2", "#"]
    assert [digit.duration for digit in digits] == pytest.approx([0.1, 0.1, 0.1])
    assert [digit.at for digit in digits] == pytest.approx([0.2, 0.34, 0.48], abs=0.1)
    assert silence_of(phone) == pytest.approx(21 * 0.02)
    assert loudness([item for item in items if isinstance(item, Frame)])[-1] > 0.1
    stats = phone.track.stats
    assert (stats.digits, stats.lost, stats.concealed_seconds, stats.undecodable) == (3, 0, 0.0, 0)


def test_what_chromium_sent_is_read() -> None:
    line = Line()
    line.speak(range(10))
    for press, code in enumerate((1, 2, 11)):
        for again in range(3):
            payload = bytes([code]) + bytes.fromhex("8a03c0")
            number = 65_530 + 10 + 3 * press + again
            line.track.receive(Arrival(7, 126, number % 65_536, (4_294_909_600 + 11_520 * press) % 2**32, payload))
            line.clock.advance(0.02)
    assert [(digit.digit, digit.duration) for digit in line.digits()] == [("1", 0.12), ("2", 0.12), ("#", 0.12)]


@pytest.mark.parametrize("lost", [{110}, {112, 113}, {114}, {115, 116}, {110, 112, 114}, {109, 110}, {116, 117}])
def test_lost_packets_of_a_key_invent_no_audio(lost: set[int]) -> None:
    phone = Phone()
    phone.lose = lost
    phone.talk(10)
    phone.press("5")
    phone.talk(20)
    audio_lost = len(lost & {109, 117})
    assert [digit.digit for digit in phone.digits()] == ["5"]
    assert phone.track.stats.lost == len(lost)
    assert silence_of(phone) + phone.track.stats.concealed_seconds == pytest.approx(0.14 + 0.02 * audio_lost)
    assert phone.track.stats.concealed_seconds == pytest.approx(0.02 if 109 in lost and 110 not in lost else 0.0)


def test_packets_of_a_key_that_change_places_are_one_press() -> None:
    line = Line()
    line.speak(range(4))
    for index in (5, 4, 7, 6):
        payload = struct.pack("!BBH", 3, 0x8A if index >= 6 else 0x0A, 160 * (index - 3))
        line.hear(index, at=4, payload=payload, format=EVENT_48)
        line.clock.advance(0.005)
    assert [digit.digit for digit in line.digits()] == ["3"]
    assert line.track.stats.reordered == 2


def test_while_a_key_is_held_the_engine_goes_on_hearing() -> None:
    phone = Phone()
    phone.talk(10)
    phone.heard()
    phone.press("9", 150)
    items = phone.heard()
    assert len([item for item in items if isinstance(item, Frame)]) >= 34  # of three seconds
    phone.talk(20)
    assert silence_of(phone) == pytest.approx(152 * 0.02)


def test_after_a_hold_another_sender_of_keys_alone_is_not_met_with_nothing() -> None:
    phone = Phone()
    phone.talk(10)
    phone.clock.advance(30.0)
    phone.heard()
    for index in range(50):
        phone.track.receive(Arrival(99, EVENT_8.payload_type, index, 0, struct.pack("!BBH", 5, 0x0A, 160 * index)))
        phone.clock.advance(0.02)
    assert len(phone.frames()) >= 11


def test_a_call_of_keys_alone_is_heard() -> None:
    phone = Phone()
    phone.press("4")
    phone.press("2")
    phone.clock.advance(0.5)
    items = phone.heard()
    assert [item.digit for item in items if isinstance(item, Digit)] == ["4", "2"]
    assert len([item for item in items if isinstance(item, Frame)]) >= 7


def test_a_key_whose_end_is_lost_is_told_soon() -> None:
    phone = Phone()
    phone.lose = {114, 115, 116}
    phone.talk(10)
    phone.press("7")
    assert phone.digits() == []
    phone.talk(10)
    (digit,) = phone.digits()
    assert digit.digit == "7"
    assert digit.duration == pytest.approx(0.08)


def test_a_key_that_is_down_at_the_end_is_told() -> None:
    phone = Phone()
    phone.lose = {104, 105, 106}
    phone.press("0")
    phone.track.end()
    assert [digit.digit for digit in phone.digits()] == ["0"]


def test_a_key_on_another_clock_lies_within_the_audio() -> None:
    phone = Phone()
    phone.talk(50)
    for place in (0, 2**31, 2**32 - 1, 123_456_789):
        phone.press("8", timestamp=place)
        phone.talk(20)
    for count, digit in enumerate(phone.digits()):
        assert 0.9 + 0.5 * count < digit.at < 1.2 + 0.6 * count
    assert phone.track.stats.digits == 4
    assert phone.track.stats.lost == 0


def test_a_key_wrapped_as_redundancy_is_unwrapped() -> None:
    line = Line()
    line.speak(range(10))
    for again in range(3):
        blocks = [Block(111, PTIME, VOICE[9]), Block(126, 0, bytes.fromhex("018a0320"))]
        line.hear(10 + again, at=10, payload=wrap(blocks), format=RED)
    line.speak(range(13, 20))
    assert [digit.digit for digit in line.digits()] == ["1"]


def test_a_key_that_cannot_be_read_costs_nothing() -> None:
    line = Line()
    line.speak(range(10))
    line.hear(10, payload=b"\x01\x8a", format=EVENT_8)
    line.hear(11, payload=b"", format=EVENT_8)
    line.hear(12, payload=b"\x10\x8a\x00\xa0", format=EVENT_8)  # a flash hook
    line.speak(range(13, 20))
    assert line.digits() == []
    assert (line.track.stats.undecodable, line.track.stats.lost) == (2, 0)


# Comfort noise


def test_comfort_noise_is_silence_on_the_senders_clock() -> None:
    line = Line()
    for index in range(8):
        line.hear(index, payload=bytes(range(160)), format=PCMU)
    line.hear(8, at=20, payload=b"\x40", format=CN)
    assert silence_of(line) == pytest.approx(12 * 0.02)
    line.hear(9, at=40, payload=b"\x40", format=CN)
    for index in range(10, 14):
        line.hear(index, at=50 + index - 10, payload=bytes(range(160)), format=PCMU)
    assert silence_of(line) == pytest.approx(42 * 0.02)
    frames = line.frames()
    assert frames[-1].start + 0.08 == pytest.approx(54 * 0.02, abs=0.08)
    assert loudness(frames)[2:12] == [0.0] * 10
    assert (line.track.stats.lost, line.track.stats.undecodable) == (0, 0)


def test_during_comfort_noise_time_goes_on_and_is_counted_once() -> None:
    line = Line()
    for index in range(8):
        line.hear(index, payload=bytes(range(160)), format=PCMU)
        line.clock.advance(0.02)
    for index in range(8, 28):  # a note every 100 ms
        line.hear(index, at=8 + 5 * (index - 8), payload=b"\x40\x20\x10", format=CN)
        line.clock.advance(0.1)
    line.hear(28, at=108, payload=bytes(range(160)), format=PCMU)
    assert silence_of(line) == pytest.approx(2.0)


def test_what_is_lost_after_comfort_noise_is_no_echo_of_what_was_before() -> None:
    line = Line()
    for index in range(8):
        line.hear(index, payload=bytes(range(160)), format=PCMU)
    line.hear(8, at=8, payload=b"\x40", format=CN)
    line.hear(10, at=12, payload=b"\x40", format=CN)
    line.clock.advance(0.2)
    assert line.track.stats.concealed_seconds == 0
    assert set(loudness(line.frames())[2:]) == {0.0}
