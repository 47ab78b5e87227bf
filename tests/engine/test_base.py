"""The audio that every engine takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import load
from engine.base import (
    CHUNK_SAMPLES,
    FRAME_SAMPLES,
    SAMPLE_RATE,
    EngineConfig,
    Stats,
    checked_pcm,
    pcm_from_s16,
    s16_from_pcm,
)
from engine.errors import Misuse


def test_the_rate_and_the_frame_are_the_models() -> None:
    assert SAMPLE_RATE == 24_000
    assert FRAME_SAMPLES == 1_920
    assert FRAME_SAMPLES / SAMPLE_RATE == 0.08


def test_a_chunk_is_480_ms() -> None:
    assert CHUNK_SAMPLES == 11_520 == 0.48 * SAMPLE_RATE
    assert CHUNK_SAMPLES % FRAME_SAMPLES == 0
    assert len(s16_from_pcm(np.zeros(CHUNK_SAMPLES, np.float32))) == 23_040


@given(st.binary(max_size=400).filter(lambda data: len(data) % 2 == 0))
def test_pcm16_survives_the_way_there_and_back(data: bytes) -> None:
    pcm = pcm_from_s16(data)
    assert pcm.dtype == np.float32
    assert s16_from_pcm(pcm) == data
    assert (np.abs(pcm) <= 1.0).all()


def test_pcm16_spans_the_whole_range() -> None:
    assert pcm_from_s16(b"\x00\x80\x00\x00\xff\x7f").tolist() == [-1.0, 0.0, 32_767 / 32_768]
    assert s16_from_pcm(np.array([-2.0, 2.0], np.float32)) == b"\x00\x80\xff\x7f"


def test_half_a_sample_is_misuse() -> None:
    with pytest.raises(Misuse, match="odd number"):
        pcm_from_s16(b"\x00\x00\x00")


def test_checked_audio_is_finite_and_in_range() -> None:
    poison = np.array([np.nan, np.inf, -np.inf, 3.0, 0.5], np.float32)
    assert checked_pcm(poison).tolist() == [0.0, 1.0, -1.0, 1.0, 0.5]


def test_good_audio_is_not_copied() -> None:
    pcm = np.linspace(-1, 1, 100, dtype=np.float32)
    assert checked_pcm(pcm) is pcm
    assert len(checked_pcm(np.zeros(0, np.float32))) == 0


@pytest.mark.parametrize("other", [[0.0], np.zeros((1, 4), np.float32), np.zeros(4), np.zeros(4, np.int16), b"\0"])
def test_audio_of_another_kind_is_misuse(other: object) -> None:
    with pytest.raises(Misuse, match="float32"):
        checked_pcm(other)


def test_only_a_ready_engine_has_free_places() -> None:
    assert Stats("ready", 4, 1).free == 3
    assert Stats("down", 4, 1).free == 0
    assert Stats("stuck", 4, 1).free == 0
    assert Stats("ready", 4, 1, admitting=False).free == 0


def test_an_unknown_engine_names_those_there_are() -> None:
    with pytest.raises(Misuse, match="moonshine, moshi, remote, scripted"):
        load(EngineConfig("vosk"))
