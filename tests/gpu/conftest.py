"""The model that the sealed suite asks, loaded once as the engine loads it."""

from pathlib import Path

import numpy as np
import pytest

from engine.base import PCM, SAMPLE_RATE, EngineConfig
from engine.checkpoint import find
from engine.errors import Unavailable
from engine.moonshine import assets
from engine.moshi import MoshiModel, load_model
from media.clip import read_clip
from tests.engine.digits import babble
from tests.gpu.full_size import CACHE, kept
from tests.gpu.place import ROWS, TINY, WANTED

KYUTAI = "kyutai/stt-1b-en_fr"
SIZE = "stt-1b"
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
TWO_CITIES = """It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of
    foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the
    season of Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had
    nothing before us, we were all going direct to Heaven, we were all going direct the other way - in short, the
    period was so far like the present period, that some of its noisiest authorities insisted on its being received,
    for good or for evil, in the superlative degree of comparison only."""

Speech = list[tuple[PCM, str]]


@pytest.fixture(scope="session")
def name() -> str:
    """The model's name or directory."""
    if WANTED:
        return WANTED
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        try:
            find(KYUTAI)
        except Unavailable:
            return str(kept(SIZE))
    return KYUTAI


@pytest.fixture(scope="session")
def model(name: str) -> MoshiModel:
    """The model with all its rows."""
    return load_model(EngineConfig("moshi", capacity=ROWS, model=name))


@pytest.fixture(scope="session")
def digits() -> Speech:
    """What the tiny checkpoint can hear, a stream for each row, and what is said in it."""
    rng = np.random.default_rng(3)
    streams = [babble(rng, 20) for _ in range(ROWS)]
    return [(pcm, " ".join(spoken.word for spoken in said)) for pcm, said in streams]


@pytest.fixture(scope="session")
def speech(name: str, digits: Speech) -> Speech:
    """What the model can hear, and what is said in it."""
    if Path(name).resolve() == TINY:
        return digits
    if Path(name).resolve().parent == CACHE:
        pytest.skip("random weights know no words")
    texts = {"beckett": BECKETT, "two_cities": TWO_CITIES}
    return [(read_clip(assets() / f"{clip}.wav", SAMPLE_RATE), text) for clip, text in texts.items()]
