import av
import numpy as np
import pytest

from engine.base import PCM, SAMPLE_RATE, s16_from_pcm
from engine.scripted import tone
from media.errors import BadMedia
from signaling.dialects.openai_audio import Ear
from signaling.dialects.openai_session import RATES, Format
from signaling.errors import BadAudio
from tests.media import oggs

SECONDS = 1.0


def heard(ear: Ear, data: bytes, cut: int = 1 << 30) -> PCM:
    """The audio of `data` in messages of so many bytes; it must follow what came before without a hole."""
    parts: list[PCM] = []
    for at in range(0, len(data), cut):
        for audio in ear.hear(data[at : at + cut]):
            assert audio.start == pytest.approx(ear.seconds - len(audio.pcm) / SAMPLE_RATE)
            parts.append(audio.pcm)
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def sine(rate: int) -> PCM:
    time = np.arange(round(SECONDS * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * 440.0 * time)).astype(np.float32)


def g711(encoder: str) -> bytes:
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = 8_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray((sine(8_000) * 32_767).astype(np.int16)[None], "s16", "mono")
    frame.sample_rate = 8_000
    return b"".join(bytes(packet) for packet in context.encode(frame))


def is_the_sine(pcm: PCM) -> bool:
    """Whether nearly all the power is at 440 Hz."""
    middle = pcm[2_400:-2_400]
    power = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    at = round(440.0 * len(middle) / SAMPLE_RATE)
    return bool(power[at - 3 : at + 4].sum() > 0.999 * power.sum())


@pytest.mark.parametrize("cut", [2, 320, 882, 1 << 30])
@pytest.mark.parametrize("rate", RATES)
def test_pcm_of_every_rate_is_heard_however_it_is_cut(rate: int, cut: int) -> None:
    ear = Ear(Format("audio/pcm", rate))
    pcm = heard(ear, s16_from_pcm(sine(rate)), cut)
    assert len(pcm) == pytest.approx(SECONDS * SAMPLE_RATE, abs=200)
    assert ear.seconds == len(pcm) / SAMPLE_RATE
    assert is_the_sine(pcm)


@pytest.mark.parametrize(("name", "encoder"), [("audio/pcmu", "pcm_mulaw"), ("audio/pcma", "pcm_alaw")])
@pytest.mark.parametrize("cut", [1, 160, 1 << 30])
def test_g711_is_heard_however_it_is_cut(name: str, encoder: str, cut: int) -> None:
    pcm = heard(Ear(Format(name)), g711(encoder), cut)  # type: ignore[arg-type]  # one of the names
    assert len(pcm) == SECONDS * SAMPLE_RATE
    assert is_the_sine(pcm)


def test_the_format_may_change_in_the_middle() -> None:
    ear = Ear(Format())
    heard(ear, s16_from_pcm(tone("alpha", 1.0)))
    ear.tune(Format("audio/pcmu"))
    heard(ear, g711("pcm_mulaw"))
    assert ear.seconds == 2.0


def test_the_same_format_again_changes_nothing() -> None:
    ear = Ear(Format())
    pages = b"".join(oggs.stream(seconds=1.0))
    heard(ear, pages[:700])
    ear.tune(Format())
    heard(ear, pages[700:])
    assert ear.seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("cut", [27, 700, 1 << 30])
def test_ogg_opus_is_known_by_its_first_bytes(cut: int) -> None:
    ear = Ear(Format())
    heard(ear, b"".join(oggs.stream(seconds=1.0)), cut)
    assert ear.seconds == pytest.approx(1.0, abs=0.1)


def test_after_damaged_ogg_another_stream_may_begin() -> None:
    ear = Ear(Format())
    with pytest.raises(BadMedia):
        heard(ear, b"OggS" + bytes(100))
    heard(ear, b"".join(oggs.stream(seconds=1.0)))
    assert ear.seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("rate", [24_000, 16_000])
def test_half_a_sample_is_refused_before_anything_is_heard(rate: int) -> None:
    ear = Ear(Format("audio/pcm", rate))
    with pytest.raises(BadAudio):
        heard(ear, bytes(20_001))
    assert ear.seconds == 0.0


@pytest.mark.parametrize("format", [Format(), Format("audio/pcmu"), Format("audio/pcm", 16_000)])
def test_nothing_is_no_audio(format: Format) -> None:
    assert heard(Ear(format), b"").size == 0
