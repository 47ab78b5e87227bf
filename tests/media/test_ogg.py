"""Ogg Opus in pieces of any length to PCM."""

import itertools
import random
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.codecs import PCM
from media.errors import BadMedia
from media.ogg import BEGINS, CONTINUED, ENDS, LONGEST_PACKET, LONGEST_TAGS, MOST_IDLE, OggOpus
from media.voice import OpusDecoder, Voice
from tests.media.caller import RATE, opus_packets, tone
from tests.media.line import DECODERS
from tests.media.oggs import HEADERS, RECORDINGS, by_ffmpeg, head, page, pages, raw_page, stream, tags

PACKET = RATE // 50
A_PAGE = 5 * PACKET  # of `pages`


def heard(pieces: Iterable[bytes], ogg: OggOpus | None = None) -> PCM:
    """The audio of these bytes."""
    ogg = ogg or OggOpus(RATE)
    return np.concatenate([np.zeros(0, np.float32), *(pcm for piece in pieces for pcm in ogg.feed(piece))])


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def pitch(pcm: PCM) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size)))
    return float(spectrum.argmax()) * RATE / pcm.size


@pytest.mark.parametrize("name", ["opus-recorder", "sphn"])
def test_what_the_fields_encoders_write_is_heard_from_its_first_sample_on(name: str) -> None:
    """Their headers would have the first 80 ms left out, and there is speech in them."""
    pcm = heard([(RECORDINGS / f"{name}.ogg").read_bytes()])
    assert pcm.size == RATE - 312 * RATE // 48_000
    onset = int(np.argmax(np.abs(pcm) > 0.05))
    assert onset == pytest.approx(RATE / 2, abs=RATE * 0.003)
    assert pitch(pcm[onset:]) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("seconds", [0.5, 1.2345, 3.0])
def test_what_ffmpeg_writes_is_as_long_as_what_it_was_given(seconds: float) -> None:
    """The encoder's beginning is left out and its end is cut, as its header and its last page say."""
    samples = tone(seconds)
    pcm = heard(cut(by_ffmpeg(samples[None]), 1_000))
    assert pcm.size == pytest.approx(samples.size / 2, abs=1)
    assert pitch(pcm) == pytest.approx(440, abs=3)
    assert pcm.std() == pytest.approx(0.25 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_the_rate_is_the_one_that_was_asked_for(decoder: OpusDecoder, rate: int) -> None:
    ogg = OggOpus(rate, decoder)
    assert heard(stream(0.5), ogg).size == rate // 2


def test_both_channels_are_heard() -> None:
    left, right = tone(1.0, 440), tone(1.0, 1_000)
    pcm = heard([by_ffmpeg(np.stack((left, right)))])
    spectrum = np.abs(np.fft.rfft(pcm[: RATE // 2] * np.hanning(RATE // 2)))
    loudest = sorted(np.argsort(spectrum)[::-1][:6] * 2)
    assert {440, 1_000} <= set(loudest)


@pytest.mark.parametrize("size", [1, 7, 97, 4_096])
def test_pages_may_be_cut_anywhere(size: int) -> None:
    data = b"".join(stream(0.4))
    np.testing.assert_array_equal(heard(cut(data, size)), heard([data]))


@given(st.lists(st.integers(0, 2_000), max_size=8))
def test_pages_may_be_cut_at_random(places: list[int]) -> None:
    data = b"".join(STREAM)
    bounds = [0, *sorted(place % len(data) for place in places), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(bounds)]
    np.testing.assert_array_equal(heard(pieces), heard([data]))


STREAM = stream(0.4)


def test_a_page_is_heard_as_soon_as_it_is_whole() -> None:
    ogg = OggOpus(RATE)
    first, comments, audio, *_ = stream(0.5)
    assert not heard([first, comments, audio[:-1]], ogg).size
    assert heard([audio[-1:]], ogg).size == A_PAGE


def test_a_stream_may_follow_another() -> None:
    ogg = OggOpus(RATE)
    one, two = pages(opus_packets(tone(0.4)), serial=1), pages(opus_packets(tone(0.6, 1_000)), serial=2)
    pcm = heard([b"".join(one + two)], ogg)
    assert pcm.size == RATE
    assert pitch(pcm[: int(RATE * 0.4)]) == pytest.approx(440, abs=4)
    assert pitch(pcm[-int(RATE * 0.6) :]) == pytest.approx(1_000, abs=4)
    assert ogg.damaged == 0


def test_a_stream_may_begin_again_with_the_same_serial_and_without_an_end() -> None:
    assert heard([*stream(0.4)[:3], *stream(0.2)]).size == A_PAGE + RATE // 5


def test_the_gain_of_the_header_is_applied_and_clipped() -> None:
    packets = opus_packets(tone(0.4))
    plain, halved, blown = (
        heard(pages(packets, first=head(gain=gain))) for gain in (0, round(-20 * np.log10(2) * 256), 0x7FFF)
    )
    np.testing.assert_allclose(halved, plain / 2, atol=1e-4)
    assert np.abs(blown).max() == 1


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("payload", [b"", b"\xff" * 40, b"\xff\xff", b"\x03"])
def test_a_damaged_packet_is_concealed_and_takes_its_time(payload: bytes, decoder: OpusDecoder) -> None:
    packets = opus_packets(tone(0.4))
    packets[8] = payload
    ogg = OggOpus(RATE, decoder)
    assert heard(pages(packets), ogg).size == len(packets) * PACKET
    assert ogg.damaged == 1


def test_damage_is_counted_across_a_chain() -> None:
    packets = opus_packets(tone(0.1))
    packets[2] = b""
    ogg = OggOpus(RATE)
    heard(pages(packets, serial=1) + pages(packets, serial=2), ogg)
    assert ogg.damaged == 2


def test_a_missing_page_is_concealed_and_takes_its_time() -> None:
    made = stream(0.6)
    del made[4]
    ogg = OggOpus(RATE)
    pcm = heard(made, ogg)
    assert pcm.size == RATE * 6 // 10
    assert ogg.damaged == 1
    assert np.abs(pcm[2 * A_PAGE : 2 * A_PAGE + PACKET]).max() > 0.1  # it goes on, and does not fall silent at once


def test_a_long_hole_is_not_longer_than_five_seconds() -> None:
    packets = opus_packets(tone(0.2))
    made = pages(packets)
    made[-1] = page(packets[5:], 900, 960 * 90_000)
    assert heard(made).size == len(packets) * PACKET + 5 * RATE


def test_pages_that_jump_without_a_hole_are_taken_as_they_come() -> None:
    """Encoders are careless with the time that they write: sphn counts it at 24 kHz."""
    packets = opus_packets(tone(0.2))
    made = [page([head()], 0, flags=BEGINS), page([tags()], 1)]
    made += [page([packet], 2 + index, 9_600 * index) for index, packet in enumerate(packets)]
    assert heard(made).size == len(packets) * PACKET


def test_one_who_comes_late_hears_what_is_left() -> None:
    made = stream(0.6)
    del made[1:4]
    assert heard(made).size == RATE * 6 // 10 - 2 * A_PAGE


def in_two_pages() -> tuple[bytes, bytes]:
    """The pages of a packet of 120 ms that goes on on the second one."""
    packet = opus_packets(tone(0.12), 5_760)[0]
    rest = len(packet) - 255
    assert 0 < rest < 255
    first = raw_page(b"\xff", packet[:255], 2, -1)
    return first, raw_page(bytes([rest]), packet[255:], 3, 5_760, flags=CONTINUED)


def test_a_packet_may_go_on_on_the_next_page() -> None:
    ogg = OggOpus(RATE)
    assert heard([*HEADERS, *in_two_pages()], ogg).size == 6 * PACKET
    assert ogg.damaged == 0


def test_a_packet_that_has_lost_its_end_costs_only_itself() -> None:
    packets = opus_packets(tone(0.2))
    ogg = OggOpus(RATE)
    assert heard([*HEADERS, in_two_pages()[0], page(packets, 3, 960 * len(packets))], ogg).size == len(packets) * PACKET
    assert ogg.damaged == 1


def test_a_packet_that_has_lost_its_beginning_costs_only_itself() -> None:
    packets = opus_packets(tone(0.2))
    continued = page([b"the end of another", *packets], 2, 960 * len(packets), flags=CONTINUED)
    ogg = OggOpus(RATE)
    assert heard([*HEADERS, continued], ogg).size == len(packets) * PACKET
    assert ogg.damaged == 1


def test_long_comments_are_read_over() -> None:
    comments = tags() + bytes(60_000)
    packets = opus_packets(tone(0.1))
    half = 255 * 100
    made = [
        HEADERS[0],
        raw_page(b"\xff" * 100, comments[:half], 1, -1),
        page([comments[half:]], 2, 0, flags=CONTINUED),
        page(packets, 3, 960 * len(packets)),
    ]
    assert heard(made).size == len(packets) * PACKET


def test_a_stream_without_comments_is_heard_too() -> None:
    packets = opus_packets(tone(0.1))
    assert heard([HEADERS[0], page(packets, 1, 960 * len(packets))]).size == len(packets) * PACKET


def spoilt(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("code", "data"),
    {
        "no Ogg": ("unknown_format", b"RIFF"),
        "one wrong byte": ("unknown_format", b"x"),
        "another version of Ogg": ("unsupported", raw_page(b"\x00", b"", 0, 0, flags=BEGINS, version=1)),
        "a wrong checksum": ("damaged", spoilt(HEADERS[0])),
        "a wrong checksum later": ("damaged", b"".join(HEADERS) + spoilt(page([b"12345"], 2, 960))),
        "noise between pages": ("unknown_format", HEADERS[0] + b"noise" + HEADERS[1]),
        "no first page": ("damaged", HEADERS[1]),
        "a page of a stream that never began": ("damaged", HEADERS[0] + page([tags()], 1, serial=8)),
        "Vorbis": ("unsupported", page([b"\x01vorbis" + bytes(23)], flags=BEGINS)),
        "FLAC": ("unsupported", page([b"\x7fFLAC" + bytes(40)], flags=BEGINS)),
        "Vorbis after Opus": ("unsupported", b"".join(HEADERS) + page([b"\x01vorbis" + bytes(23)], flags=BEGINS)),
        "an empty first page": ("unsupported", page([], flags=BEGINS)),
        "half a header": ("damaged", page([head()[:15]], flags=BEGINS)),
        "another version of OpusHead": ("unsupported", page([head(version=16)], flags=BEGINS)),
        "six channels": ("unsupported", page([head(channels=6)], flags=BEGINS)),
        "no channel": ("unsupported", page([head(channels=0)], flags=BEGINS)),
        "surround": ("unsupported", page([head(channels=2, family=1)], flags=BEGINS)),
        "an oversize packet": ("damaged", b"".join(HEADERS) + page([bytes(LONGEST_PACKET + 1)], 2, 960)),
    }.values(),
)
def test_what_cannot_be_read_is_refused_with_a_sentence(code: str, data: bytes) -> None:
    with pytest.raises(BadMedia, match=r"[:] send .+\.$") as refused:
        heard(cut(data, 50))
    assert refused.value.code == code


def test_comments_without_an_end_are_refused() -> None:
    """Before more of them is kept than may be."""
    comments = (tags() + bytes(LONGEST_TAGS + 1))[: LONGEST_TAGS + 1]
    pieces = cut(comments, 255 * 255)
    lacing = b"\xff" * 255
    made = [raw_page(lacing, piece, 1 + at, -1, flags=CONTINUED * (at > 0)) for at, piece in enumerate(pieces[:-1])]
    ogg = OggOpus(RATE)
    assert not heard([HEADERS[0], *made], ogg).size
    with pytest.raises(BadMedia):
        heard([raw_page(lacing, bytes(255 * 255), len(pieces), -1, flags=CONTINUED)], ogg)


def test_hours_in_a_few_bytes_come_a_second_at_a_time() -> None:
    """Twenty kilobytes that hold eighty minutes of silence are decoded as they are asked for, and no sooner."""
    silence = [b"\xfb\x06"] * 100  # six frames of 20 ms without a byte in them
    data = b"".join([*HEADERS, *(page(silence, 2 + number, 576_000 * (number + 1)) for number in range(400))])
    ogg = OggOpus(RATE)
    pieces = ogg.feed(data)
    sizes = [next(pieces).size for _ in range(50)]
    assert max(sizes) < RATE
    rest = sum(pcm.size for pcm in pieces)
    assert sum(sizes) + rest == 400 * 12 * RATE


def work(pieces: Iterable[PCM]) -> tuple[int, BadMedia | None]:
    """How many pieces of audio came, and how it ended."""
    count = 0
    try:
        for _ in pieces:
            count += 1
    except BadMedia as error:
        return count, error
    return count, None


@pytest.mark.parametrize(
    "idle",
    [
        pytest.param(lambda number: page([head()], flags=BEGINS), id="streams that only begin"),
        pytest.param(lambda number: raw_page(b"", b"", 2 + number, -1), id="pages without a packet"),
        pytest.param(lambda number: page([b"\xfb\x06"] * 200, 2 + number, flags=ENDS), id="packets behind the end"),
        pytest.param(
            lambda number: page([head(pre_skip=65_535)], flags=BEGINS) + page([b"\xfb\x06"] * 5, 1, 28_800),
            id="packets that are skipped",
        ),
    ],
)
def test_what_holds_no_audio_is_not_worked_at_for_long(
    idle: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of it would keep the machine busy for seconds, in which nobody else is served."""
    decoded: list[int] = []
    decode = Voice.decode

    def counted(self: Voice, payload: bytes, samples: int) -> PCM:
        decoded.append(samples)
        return decode(self, payload, samples)

    monkeypatch.setattr(Voice, "decode", counted)
    ogg = OggOpus(RATE)
    heard(HEADERS, ogg)
    count, error = work(ogg.feed(b"".join(map(idle, range(2_000)))))
    assert count == 0
    assert error is not None
    assert "hardly any audio" in str(error)
    assert len(decoded) <= MOST_IDLE


def test_a_chain_of_short_streams_is_heard_however_long_it_is() -> None:
    link = b"".join(pages(opus_packets(tone(0.1)), a_page=1))
    assert heard([link] * 500).size == 500 * RATE // 10


@given(st.integers(0, 1 << 32))
def test_bytes_bent_by_chance_are_heard_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(b"".join(STREAM))
    for _ in range(chance.choice((1, 1, 2, 5))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    longest = bytes(1 << 16)  # a page that has become longer waits for its end
    with pytest.raises(BadMedia):
        heard([*cut(bytes(data), chance.choice((50, 5_000))), longest])
