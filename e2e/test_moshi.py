"""The production engine through the whole product: digits in the browser's microphone, the same digits on the page.

Its model is the tiny one that the engine's tests are made with; the browser's processing is off, since its language is
tones, which a noise suppressor takes for noise.
"""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import PageFactory, ServerFactory, microphone
from e2e.sound import write_wav
from e2e.talk import SPOKEN, settled, start, stop, words
from engine.base import SAMPLE_RATE
from tests.engine.digits import recite

pytestmark = pytest.mark.timeout(120)

TINY = Path(__file__).parent.parent / "tests" / "engine" / "tiny"
SAID = ["three", "one", "four", "one", "five", "nine", "two", "six", "five", "zero", "seven", "eight"]


def test_digits_that_are_spoken_stand_on_the_page(server: ServerFactory, page: PageFactory, tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "digits.wav", recite(SAID), SAMPLE_RATE)
    running = server("--model", str(TINY), "--capacity", "2", engine="moshi")
    one = page(f"{running.url}/?processing=off", *microphone(wav))
    start(one)
    expect(settled(one).nth(len(SAID) - 2)).to_be_attached(timeout=SPOKEN)  # all but the last, while it listens
    stop(one)
    assert words(one) == SAID
