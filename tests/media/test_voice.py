"""Payloads to PCM, for each codec of the table and each decoder."""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from media import libopus
from media.codecs import CODECS, OPUS, Codec
from media.errors import NoDecoder
from media.libopus import LibopusDecoder
from media.pyav import PyAVDecoder
from media.voice import OpusDecoder, Voice
from tests.media.caller import RATE, opus_packets, tone
from tests.media.line import DECODERS

KINDS: list[tuple[Codec, OpusDecoder]] = [*((codec, "pyav") for codec in CODECS.values()), (OPUS, "libopus")]


def encoded(codec: Codec) -> list[bytes]:
    """A second of tone in packets of 20 ms."""
    if codec is OPUS:
        return opus_packets(tone(1.0))
    encoder = av.CodecContext.create(codec.ffmpeg, "w")
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


@pytest.mark.parametrize(("codec", "decoder"), KINDS)
def test_a_tone_comes_out_as_it_went_in(codec: Codec, decoder: OpusDecoder) -> None:
    voice = Voice(codec, RATE, decoder)
    packets = encoded(codec)
    parts = [voice.decode(packet, codec.samples(packet)) for packet in packets]
    assert {part.size for part in parts} == {RATE // 50}  # each packet is worth its time, from the first one on
    pcm = np.concatenate(parts)[RATE // 10 : -RATE // 10]
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size)))
    assert abs(int(spectrum.argmax()) * RATE / pcm.size - 440) < 3
    assert pcm.std() == pytest.approx(0.25 / np.sqrt(2), rel=0.15)


@pytest.mark.parametrize("decoder", DECODERS)
def test_garbage_costs_one_packet_and_no_hearing(decoder: OpusDecoder) -> None:
    voice = Voice(OPUS, RATE, decoder)
    packets = opus_packets(tone(0.4))
    for packet in packets[:10]:
        voice.decode(packet, 960)
    assert voice.decode(b"\xff" * 40, 960).size == RATE // 50
    assert voice.failures == 1
    again = [voice.decode(packet, 960) for packet in packets[10:]]
    assert again[-1].std() > 0.15


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_concealment_fades_and_ends(decoder: OpusDecoder) -> None:
    voice = Voice(OPUS, RATE, decoder)
    assert not voice.conceal(480).any()  # there is nothing to repeat yet
    for packet in opus_packets(tone(0.4)):
        voice.decode(packet, 960)
    levels = [float(voice.conceal(480).std()) for _ in range(40)]
    assert 0.1 < levels[0] < 0.2
    assert all(later <= 1.2 * earlier for earlier, later in itertools.pairwise(levels))
    assert levels[5] > 0.01
    assert levels[-1] == 0


@pytest.mark.parametrize("decoder", DECODERS)
def test_after_a_silence_nothing_of_before_is_repeated(decoder: OpusDecoder) -> None:
    voice = Voice(OPUS, RATE, decoder)
    for packet in opus_packets(tone(0.4)):
        voice.decode(packet, 960)
    voice.hush()
    assert not voice.conceal(480).any()


def test_pyav_recovers_nothing() -> None:
    voice = Voice(OPUS, RATE, "pyav")
    assert voice.recover(opus_packets(tone(0.02))[0], 480) is None


def test_libopus_is_taken_where_it_is_and_demanded_only_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(Voice(OPUS, RATE)._decoder, LibopusDecoder)

    def none_here() -> None:
        raise NoDecoder("there is no libopus on this machine")

    monkeypatch.setattr(libopus, "load", none_here)
    assert isinstance(Voice(OPUS, RATE)._decoder, PyAVDecoder)
    with pytest.raises(NoDecoder):
        Voice(OPUS, RATE, "libopus")
