"""The three lines of examples/embed, in a page of another origin."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import PageFactory, ServerFactory, microphone
from e2e.site import Site
from e2e.talk import CONNECTED, SPOKEN

EXAMPLE = Path(__file__).parent.parent / "examples" / "embed" / "index.html"
WRITTEN_FOR = "http://127.0.0.1:8080"  # the server that the example names


def embed(site: Site, server: str, token: str = "") -> None:
    """Show the example there, with this server in it."""
    text = EXAMPLE.read_text()
    assert WRITTEN_FOR in text
    text = text.replace("<offhook-transcript>", f'<offhook-transcript token="{token}">')
    site.page = text.replace(WRITTEN_FOR, server).encode()


def test_a_page_of_another_origin_shows_words(
    page: PageFactory, server: ServerFactory, site: Site, alphabet: Path
) -> None:
    embed(site, server("--origins", site.url).url)
    one = page(site.url, *microphone(alphabet))
    one.get_by_role("button", name="Start").click()
    expect(one.locator("offhook-transcript .status")).to_have_text("Listening", timeout=CONNECTED)
    expect(one.locator("offhook-transcript .word").nth(2)).to_be_visible(timeout=SPOKEN)
    one.get_by_role("button", name="Stop").click()
    expect(one.get_by_role("button", name="Start")).to_be_visible(timeout=CONNECTED)


@pytest.mark.parametrize("token", ["", "a-token-or-key"])  # with one the browser asks for permission first
def test_an_origin_that_is_not_allowed_is_told(
    page: PageFactory, server: ServerFactory, site: Site, alphabet: Path, token: str
) -> None:
    embed(site, server().url, token)
    one = page(site.url, *microphone(alphabet))
    one.get_by_role("button", name="Start").click()
    message = one.locator("offhook-transcript .message")
    expect(message).to_have_text(
        "The server does not take calls from this site. Ask its operator to allow this address.", timeout=CONNECTED
    )
