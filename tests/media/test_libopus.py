"""What libopus does beyond PyAV: lost packets from the copies in the next ones."""

import ctypes
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import libopus
from media.codecs import OPUS, PCM, Undecodable, opus_samples
from media.errors import NoDecoder
from media.events import Missed
from media.libopus import RATES, LibopusDecoder, has_copy
from media.track import Track
from media.voice import Voice
from tests.media.caller import RATE
from tests.media.line import Line

PACKET = RATE // 50


def voice_like(seconds: float) -> npt.NDArray[np.int16]:
    """A hum with overtones that swells three times a second: enough like speech for the encoder to take it for that."""
    time = np.arange(int(seconds * 48_000)) / 48_000
    hum = sum(np.sin(2 * np.pi * 150 * overtone * time) / overtone for overtone in range(1, 12))
    return (hum * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time)) * 4_000).astype(np.int16)


def encoded(copies: bool, milliseconds: int = 20) -> list[bytes]:
    """Two seconds as a browser sends them: with copies once it was told of a loss."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 48_000, "mono", "s16", 24_000
    encoder.options = {"application": "voip", "frame_duration": str(milliseconds)}
    if copies:
        encoder.options |= {"fec": "1", "packet_loss": "20"}
    samples, packets, size = voice_like(2.0), [], 48 * milliseconds
    for start in range(0, len(samples) - size + 1, size):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + size], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


WITH, WITHOUT = encoded(True), encoded(False)
LOST = next(index for index in range(40, 100) if has_copy(WITH[index + 1]) and has_copy(WITH[index]))
# Two frames of equal length, in an odd number of bytes (RFC 6716 section 3.4, R3), the first with a copy.
UNREADABLE = bytes([WITH[LOST + 1][0] | 1]) + (WITH[LOST + 1][1:] + bytes(1))[: len(WITH[LOST + 1]) // 2 * 2 - 1]


def decoded(decoder: LibopusDecoder, packets: list[bytes]) -> PCM:
    return np.concatenate([decoder.decode(packet, PACKET) for packet in packets])


def likeness(one: PCM, other: PCM) -> float:
    """1 for the same wave, 0 for another."""
    return float(np.corrcoef(one, other)[0, 1])


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_of_libopus_is_decoded_to(rate: int) -> None:
    decoder = LibopusDecoder(rate)
    assert decoder.decode(WITH[0], rate // 50).size == rate // 50


def test_another_rate_is_refused() -> None:
    with pytest.raises(NoDecoder, match="44100"):
        LibopusDecoder(44_100)


def test_a_lost_packet_is_recovered_from_the_next_one() -> None:
    whole, holed = LibopusDecoder(RATE), LibopusDecoder(RATE)
    truth = decoded(whole, WITH[: LOST + 1])[-PACKET:]
    decoded(holed, WITH[:LOST])
    recovered = holed.recover(WITH[LOST + 1], PACKET)
    assert recovered is not None
    assert recovered[1] == PACKET
    assert likeness(recovered[0], truth) > 0.9
    assert likeness(holed.decode(WITH[LOST + 1], PACKET), whole.decode(WITH[LOST + 1], PACKET)) > 0.9


def test_of_a_longer_loss_the_last_packet_is_recovered() -> None:
    whole, holed, concealed = (LibopusDecoder(RATE) for _ in range(3))
    truth = decoded(whole, WITH[: LOST + 1])[-PACKET:]
    decoded(holed, WITH[: LOST - 2])
    decoded(concealed, WITH[: LOST - 2])
    recovered = holed.recover(WITH[LOST + 1], 3 * PACKET)
    assert recovered is not None
    assert (recovered[0].size, recovered[1]) == (3 * PACKET, PACKET)
    assert likeness(recovered[0][-PACKET:], truth) > likeness(concealed.conceal(3 * PACKET)[-PACKET:], truth) + 0.2


def test_without_a_copy_nothing_is_recovered() -> None:
    decoder = LibopusDecoder(RATE)
    decoded(decoder, WITHOUT[:10])
    assert decoder.recover(WITHOUT[11], PACKET) is None
    assert decoder.recover(WITH[LOST + 1], PACKET // 2) is None  # less is missing than the copy holds


def test_in_place_of_a_copy_that_cannot_be_read_everything_is_concealed() -> None:
    holed, concealed = LibopusDecoder(RATE), LibopusDecoder(RATE)
    decoded(holed, WITH[: LOST - 1])
    decoded(concealed, WITH[: LOST - 1])
    recovered = holed.recover(UNREADABLE, 3 * PACKET)
    assert recovered is not None
    assert recovered[1] == 0
    assert recovered[0].tolist() == np.concatenate([concealed.conceal(PACKET), concealed.conceal(2 * PACKET)]).tolist()
    assert recovered[0][-PACKET:].std() > 0.01


def test_a_payload_that_is_refused_leaves_the_decoder_as_it_was() -> None:
    one, other = LibopusDecoder(RATE), LibopusDecoder(RATE)
    decoded(one, WITH[:LOST])
    decoded(other, WITH[:LOST])
    with pytest.raises(Undecodable):
        one.decode(UNREADABLE, 2 * PACKET)
    assert one.decode(WITH[LOST], PACKET).tolist() == other.decode(WITH[LOST], PACKET).tolist()


def test_any_length_is_concealed() -> None:
    for wanted in (0, 1, 59, 60, 61, 480, 5_000, 120_000):
        decoder = LibopusDecoder(RATE)
        decoded(decoder, WITH[:10])
        assert decoder.conceal(wanted).size == wanted


def test_copies_are_told_as_libopus_tells_them() -> None:
    (path,) = libopus._beside_pyav()
    library = ctypes.CDLL(path)
    for packet in (*WITH, *WITHOUT, *encoded(True, 40), *encoded(True, 60), *encoded(False, 60), *encoded(True, 10)):
        assert has_copy(packet) == library.opus_packet_has_lbrr(packet, len(packet)), packet[:4]
    assert sum(map(has_copy, WITH)) > 50


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_or_refused(payload: bytes) -> None:
    decoder = LibopusDecoder(RATE)
    if not opus_samples(payload):
        return
    wanted = opus_samples(payload) // 2
    recovered = decoder.recover(payload, wanted)
    assert recovered is None or recovered[0].size == wanted
    try:
        assert decoder.decode(payload, wanted).size == wanted
    except Undecodable:
        assert decoder.conceal(wanted).size == wanted


@pytest.fixture
def forgotten() -> Iterator[Callable[[], None]]:
    """Has libopus looked for again: before the test, when it says so, and after it."""
    libopus._find.cache_clear()
    yield libopus._find.cache_clear
    libopus._find.cache_clear()


def test_where_there_is_none_it_is_said(
    forgotten: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(libopus, "_NAMES", {"linux": "no-such-library", "darwin": "no-such-library"})
    libopus.load()  # the one that PyAV brings along
    monkeypatch.setattr(av, "__file__", str(tmp_path / "av" / "__init__.py"))
    forgotten()
    with pytest.raises(NoDecoder, match="pyav"):
        libopus.load()


@pytest.mark.parametrize("there", [True, False])
def test_it_is_looked_for_once(forgotten: Callable[[], None], monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    searches = 0
    beside = libopus._beside_pyav()

    def search() -> list[str]:
        nonlocal searches
        searches += 1
        return beside if there else []

    monkeypatch.setattr(libopus, "_NAMES", {"linux": "no-such-library", "darwin": "no-such-library"})
    monkeypatch.setattr(libopus, "_beside_pyav", search)
    for _ in range(3):
        Voice(OPUS, RATE).decode(WITH[0], 960)
    assert searches == 1


# On a track


async def heard(decoder_line: Line, lost: int) -> Track:
    for index, payload in enumerate(WITH):
        if index != lost:
            decoder_line.hear(index, payload=payload)
        decoder_line.clock.advance(0.02)
    decoder_line.clock.advance(0.06)
    return decoder_line.track


async def test_a_track_recovers_what_no_redundancy_has() -> None:
    track = await heard(Line(decoder="libopus"), LOST)
    assert (track.stats.repaired, track.stats.lost, track.stats.concealed_seconds) == (1, 0, 0.0)


async def test_what_was_recovered_is_not_told_as_missed() -> None:
    line = Line(decoder="libopus")
    for index, payload in enumerate(WITH):
        if not LOST - 5 <= index <= LOST:
            line.hear(index, payload=payload)
        line.clock.advance(0.02)
    line.clock.advance(0.06)
    (missed,) = (item for item in line.heard() if isinstance(item, Missed))
    assert (missed.start, missed.stop) == pytest.approx(((LOST - 5) * 0.02, LOST * 0.02), abs=0.09)
    assert missed.stop - missed.start == pytest.approx(0.1, abs=0.001)
    assert line.track.stats.lost == 5


async def test_what_a_copy_that_cannot_be_read_stood_for_is_told_as_missed() -> None:
    line = Line(decoder="libopus")
    for index, payload in enumerate(WITH):
        if not LOST - 5 <= index <= LOST:
            line.hear(index, payload=UNREADABLE if index == LOST + 1 else payload)
        line.clock.advance(0.02)
    line.clock.advance(0.06)
    (missed,) = (item for item in line.heard() if isinstance(item, Missed))
    assert missed.stop - missed.start == pytest.approx(0.12, abs=0.001)
    stats = line.track.stats
    assert (stats.lost, stats.repaired, stats.undecodable) == (6, 0, 1)
    assert stats.concealed_seconds == pytest.approx(0.12)


async def test_a_track_with_pyav_conceals_it() -> None:
    track = await heard(Line(decoder="pyav"), LOST)
    assert (track.stats.repaired, track.stats.lost) == (0, 1)
    assert track.stats.concealed_seconds == pytest.approx(0.02)
