"""Take the pictures of the real page, light and dark: page.png in the middle of a speech, files.png with recordings.

.venv/bin/python -m docs.screenshot [page] [files]
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from e2e.conftest import FLAGS, microphone
from e2e.server import Server
from e2e.sound import RATE, onset, write_wav
from e2e.talk import settled, start
from engine.moonshine import assets
from media.clip import read_clip

FOLDER = Path(__file__).parent
SIZE = ViewportSize(width=1180, height=760)
SEVERAL = re.compile(r"\w \w+ \w")  # words that may still change
BEFORE = 0.6  # seconds kept before the first word; the breath before them is left out
WORDS = 63  # settled words after which the pictures are taken
PRESSED = 23  # the word from which the recording is played
EXCERPT = 17.0  # seconds of the speech that are the first recording
HIGHER = ViewportSize(width=1180, height=970)
PICTURES = ("page", "files")
THEMES: dict[Literal["light", "dark"], str] = {"light": "", "dark": "-dark"}


def main() -> None:
    """Start a server and a Chromium that hears A Tale of Two Cities, and take the pictures asked for, or all."""
    wanted = sys.argv[1:] or PICTURES
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        server = Server(folder / "server.log", "--engine", "moonshine")
        try:
            with sync_playwright() as playwright:
                speech = spoken(folder)
                flags = [*FLAGS, *microphone(speech)]
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
                if "page" in wanted:
                    photograph_speech(opened(browser, server.url))
                if "files" in wanted:
                    photograph_files(opened(browser, server.url, HIGHER), folder)
                browser.close()
        finally:
            server.end()


def spoken(folder: Path) -> Path:
    """What the microphone hears."""
    speech = read_clip(assets() / "two_cities.wav", RATE)
    return write_wav(folder / "speech.wav", speech[round((onset(speech, RATE) - BEFORE) * RATE) :], RATE)


def opened(browser: Browser, url: str, size: ViewportSize = SIZE) -> Page:
    """The page, in English and as nobody has used it."""
    page = browser.new_context(viewport=size, locale="en-GB").new_page()
    page.goto(url)
    return page


def photograph_speech(page: Page) -> None:
    """Wait for words in mid-sentence."""
    start(page)
    expect(settled(page).nth(WORDS)).to_be_attached(timeout=60_000)
    take(page, "page", lambda: expect_tail(page))
    page.context.close()


def expect_tail(page: Page) -> None:
    """Words that may still change, and sound; and none that this machine was too slow for."""
    expect(page.locator(".missed")).to_have_count(0)
    expect(page.locator(".tail").filter(has_text=SEVERAL)).to_be_visible(timeout=10_000)
    expect(page.locator("#level")).not_to_have_attribute("aria-valuenow", "0")


def photograph_files(page: Page, folder: Path) -> None:
    """Three recordings: one is played, one cannot be read, one is being written down."""
    speech = read_clip(assets() / "two_cities.wav", RATE)
    tale = write_wav(folder / "A Tale of Two Cities.wav", speech[: round(EXCERPT * RATE)], RATE)
    club = write_wav(folder / "Book club.wav", np.tile(speech, 8), RATE)
    voicemail = folder / "Voicemail.mp3"
    voicemail.write_bytes(b"ID3\x03" + bytes(400))
    page.locator("#file").set_input_files([tale, voicemail, club])
    expect(page.locator(".file[data-phase=done] .word").nth(PRESSED)).to_be_visible(timeout=60_000)
    expect(page.locator(".file[data-phase=failed]")).to_be_visible(timeout=60_000)
    expect(page.locator(".status").filter(has_text="left")).to_be_visible(timeout=60_000)
    page.locator(".word").nth(PRESSED).click()
    take(page, "files", lambda: expect_both(page))
    page.context.close()


def expect_both(page: Page) -> None:
    """A word that is being heard, and one that is being written down."""
    expect(page.locator(".glimpse").filter(has_text=SEVERAL)).to_be_visible(timeout=30_000)
    expect(page.locator(".status").filter(has_text="left")).to_be_visible(timeout=30_000)
    expect(page.locator(".spoken")).to_be_visible()


def take(page: Page, name: str, ready: Callable[[], None]) -> None:
    """A picture in each theme, as soon as it is worth one."""
    for theme, suffix in THEMES.items():
        page.emulate_media(color_scheme=theme)
        ready()
        # The colours of the theme, not those on the way to it.
        page.screenshot(path=FOLDER / f"{name}{suffix}.png", animations="disabled")


if __name__ == "__main__":
    main()
