"""Take docs/page.png and docs/page-dark.png: the real page, in the middle of a real speech.

.venv/bin/python -m docs.screenshot
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

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
THEMES: dict[Literal["light", "dark"], str] = {"light": "page.png", "dark": "page-dark.png"}


def main() -> None:
    """Start a server and a Chromium that hears A Tale of Two Cities, and take the pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        speech = read_clip(assets() / "two_cities.wav", RATE)
        wav = write_wav(folder / "speech.wav", speech[round((onset(speech, RATE) - BEFORE) * RATE) :], RATE)
        server = Server(folder / "server.log", "--engine", "moonshine")
        try:
            photograph(server.url, wav)
        finally:
            server.end()


def photograph(url: str, wav: Path) -> None:
    """Open the page, wait for words in mid-sentence, and take it in both themes."""
    with sync_playwright() as playwright:
        flags = [*FLAGS, *microphone(wav)]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_context(viewport=SIZE).new_page()
        page.goto(url)
        start(page)
        expect(settled(page).nth(WORDS)).to_be_attached(timeout=60_000)
        for theme, name in THEMES.items():
            take(page, theme, FOLDER / name)
        browser.close()


def take(page: Page, theme: Literal["light", "dark"], path: Path) -> None:
    """One picture, with a tail that may still change."""
    page.emulate_media(color_scheme=theme)
    expect(page.locator(".tail").filter(has_text=SEVERAL)).to_be_visible(timeout=10_000)
    expect(page.locator("#level")).not_to_have_attribute("aria-valuenow", "0")
    page.screenshot(path=path, animations="disabled")  # the colours of the theme, not those on the way to it


if __name__ == "__main__":
    main()
