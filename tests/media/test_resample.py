"""From one rate to another, packet by packet."""

import itertools

import numpy as np
import pytest

from media.resample import Resampler, Samples

RATES = [(48_000, 24_000), (16_000, 24_000), (8_000, 24_000), (48_000, 16_000), (24_000, 24_000)]


def tone(hertz: float, rate: int) -> Samples:
    return np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32)


def through(resampler: Resampler, samples: Samples, packet: int) -> Samples:
    return np.concatenate([resampler.push(samples[at : at + packet]) for at in range(0, len(samples), packet)])


def loudness(samples: Samples) -> float:
    """In dB of a full sine, without the ends."""
    return float(20 * np.log10(samples[2_000:-2_000].std() * np.sqrt(2) + 1e-9))


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_packet_is_worth_its_time_at_once(source: int, target: int) -> None:
    resampler = Resampler(source, target)
    for milliseconds in (20, 20, 10, 60, 120, 3):
        assert (
            resampler.push(np.zeros(source * milliseconds // 1_000, np.float32)).size == target * milliseconds // 1_000
        )
    assert resampler.push(np.zeros(0, np.float32)).size == 0


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_tone_keeps_its_pitch_and_its_level(source: int, target: int) -> None:
    for hertz in (100, 1_000, 3_200):
        out = through(Resampler(source, target), tone(hertz, source), source // 50)
        spectrum = np.abs(np.fft.rfft(out[2_000:-2_000] * np.hanning(len(out) - 4_000)))
        assert abs(int(spectrum.argmax()) * target / (len(out) - 4_000) - hertz) < 2
        assert abs(loudness(out)) < 0.1


@pytest.mark.parametrize(("source", "target"), [(48_000, 24_000), (48_000, 16_000)])
def test_what_the_lower_rate_cannot_hold_is_gone(source: int, target: int) -> None:
    for part in (1.05, 1.2, 1.5, 1.9):
        assert loudness(through(Resampler(source, target), tone(part * target / 2, source), source // 50)) < -60


@pytest.mark.parametrize(("source", "target"), RATES)
def test_where_packets_are_cut_is_not_heard(source: int, target: int) -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, source).astype(np.float32)
    whole = through(Resampler(source, target), samples, source // 50)
    cut = Resampler(source, target)
    ends = [0, source // 100, source // 50, source // 10, source // 4, source]
    parts = [cut.push(samples[start:stop]) for start, stop in itertools.pairwise(ends)]
    assert np.allclose(np.concatenate(parts), whole, atol=1e-5)


def test_every_sample_is_scaled() -> None:
    out = Resampler(48_000, 24_000, 1 / 32_768).push(np.full(9_600, 16_384, np.int16))
    assert out[-1] == pytest.approx(0.5, abs=1e-4)
    assert out.dtype == np.float32
