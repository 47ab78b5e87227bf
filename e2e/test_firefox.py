"""Firefox: on the page, with hidden addresses, directly and through a bad network. It sends no redundancy."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from e2e.conftest import Figures
from e2e.firefox import Firefox, firefox, write_profile
from e2e.server import Server
from e2e.sound import normalized, silence, word_errors, write_wav
from engine.base import SAMPLE_RATE
from engine.scripted import WORDS, say

pytestmark = pytest.mark.timeout(150)

NETWORKS = "clean", "loss-5"
CONNECTED = 20.0  # seconds for a call to be up
SAID = 20.0  # seconds for the last word to come
SILENCE = 60.0  # seconds after the words, so that the microphone outlives the test
ERRORS = 0.12  # word error rate where packets are lost for good
SHOWN = "[...document.querySelectorAll('#transcript .word')].map((word) => word.textContent).join(' ')"

# Whether the page's own address is told under a name that only its own network can look up.
HIDDEN = """new Promise((resolve) => {
    const connection = new RTCPeerConnection();
    connection.createDataChannel('any');
    connection.onicecandidate = ({ candidate }) => candidate && resolve(candidate.candidate.includes('.local '));
    connection.createOffer().then((offer) => connection.setLocalDescription(offer));
})"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the page wrote on each network. In a thread, since Playwright's event loop may occupy this one."""
    folder = tmp_path_factory.mktemp("firefox")
    sound = np.concatenate((say(WORDS), silence(SILENCE, SAMPLE_RATE)))
    wav = write_wav(folder / "words.wav", sound, SAMPLE_RATE)
    with ThreadPoolExecutor() as pool:
        heard = list(pool.map(lambda network: read_to(network, wav, folder), NETWORKS))
    return dict(zip(NETWORKS, heard, strict=True))


def read_to(network: str, wav: Path, folder: Path) -> str:
    """Read the words to a page that is reached through this network; what it wrote."""
    impaired = () if network == "clean" else ("--impair", network)
    server = Server(folder / f"{network}.log", "--engine", "scripted", *impaired)
    try:
        profile = write_profile(folder / f"{network}-profile")
        text = asyncio.run(call(f"{server.url}/?processing=off", wav.read_bytes(), profile))
    finally:
        server.end()
    assert "Traceback" not in server.log, server.log
    return text


async def call(url: str, wav: bytes, profile: Path) -> str:
    """One call, until its last word has settled."""
    async with firefox(profile) as page:
        await page.open(url, wav)
        assert await page.evaluate(HIDDEN)
        await page.evaluate("document.querySelector('#start').click()")
        await status(page, "Listening")
        await page.until(f"({SHOWN}).includes('{WORDS[-1]}')", SAID)
        await page.evaluate("document.querySelector('#start').click()")
        await status(page, "Ready")
        return str(await page.evaluate(SHOWN))


async def status(page: Firefox, text: str) -> None:
    await page.until(f"document.querySelector('#status').textContent.includes('{text}')", CONNECTED)


def test_every_word_comes(texts: dict[str, str]) -> None:
    """A machine that is too busy may tear a tone in two; then it is heard twice in a row."""
    assert [word for word, _ in groupby(normalized(texts["clean"]).split())] == list(WORDS)


def test_a_twentieth_of_all_packets_costs_few_words(texts: dict[str, str], figures: Figures) -> None:
    errors = word_errors(" ".join(WORDS), texts["loss-5"])
    figures(f"Firefox, tones, no redundancy: word error rate {errors:.3f} at 5 % loss")
    assert errors <= ERRORS, texts["loss-5"]
