"""Payloads to PCM, for each codec of the table."""

from fractions import Fraction

import av
import numpy as np
import pytest

from media.codecs import CODECS, Codec, find, opus_samples
from media.voice import Voice
from tests.media.caller import RATE, opus_packets, tone


def encoded(codec: Codec) -> list[bytes]:
    """A second of tone in packets of 20 ms."""
    if codec.decoder == "libopus":
        return opus_packets(tone(1.0))
    encoder = av.CodecContext.create(codec.decoder, "w")
    assert isinstance(encoder, av.AudioCodecContext)
    rate = codec.sample_rate
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "s16"
    encoder.time_base = Fraction(1, rate)
    packets = []
    samples = tone(1.0, rate=rate)
    for start in range(0, rate, rate // 50):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + rate // 50], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.decoder)
def test_a_tone_comes_out_as_it_went_in(codec: Codec) -> None:
    voice = Voice(codec, RATE)
    packets = encoded(codec)
    parts = [voice.decode(packet, codec.samples(packet)) for packet in packets]
    assert {part.size for part in parts} == {RATE // 50}  # each packet is worth its time, from the first one on
    pcm = np.concatenate(parts)[RATE // 10 : -RATE // 10]
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size)))
    assert abs(int(spectrum.argmax()) * RATE / pcm.size - 440) < 3
    assert pcm.std() == pytest.approx(0.25 / np.sqrt(2), rel=0.15)


@pytest.mark.parametrize(
    ("payload", "samples"),
    [
        (b"", 0),
        (b"\x78" + bytes(9), 960),  # CELT, 20 ms
        (b"\x79" + bytes(9), 1_920),  # two frames
        (b"\x7b\x03" + bytes(9), 2_880),  # three
        (b"\x7b", 0),  # a count that is missing
        (b"\x7b\x3f", 0),  # 63 frames are more than 120 ms
        (b"\x00", 480),  # SILK, 10 ms
        (b"\x18", 2_880),  # SILK, 60 ms
        (b"\x60", 480),  # hybrid, 10 ms
        (b"\x80", 120),  # CELT, 2.5 ms
    ],
)
def test_an_opus_packet_tells_its_length(payload: bytes, samples: int) -> None:
    assert opus_samples(payload) == samples


def test_garbage_costs_one_decoder_and_no_hearing() -> None:
    voice = Voice(CODECS["opus", 48_000], RATE)
    packets = opus_packets(tone(0.4))
    for packet in packets[:10]:
        voice.decode(packet, 960)
    assert voice.decode(b"\xff" * 40, 960).size == RATE // 50
    assert voice.failures == 1
    again = [voice.decode(packet, 960) for packet in packets[10:]]
    assert again[-1].std() > 0.15


def test_a_concealment_fades_and_ends() -> None:
    voice = Voice(CODECS["opus", 48_000], RATE)
    assert not voice.conceal(480).any()  # there is nothing to repeat yet
    for packet in opus_packets(tone(0.4)):
        voice.decode(packet, 960)
    levels = [float(voice.conceal(480).std()) for _ in range(40)]
    assert 0.1 < levels[0] < 0.2
    assert levels == sorted(levels, reverse=True)
    assert levels[5] > 0.01
    assert levels[-1] == 0


def test_a_codec_is_found_whatever_its_case() -> None:
    assert find("OPUS", 48_000) is CODECS["opus", 48_000]
    assert find("pcmu", 8_000) is find("PCMU", 8_000)
    assert find("opus", 8_000) is None
