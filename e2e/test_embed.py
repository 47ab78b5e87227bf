"""The three lines of examples/embed, in a page of another origin."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import PageFactory, ServerFactory, microphone
from e2e.talk import CONNECTED, SPOKEN

EXAMPLE = Path(__file__).parent.parent / "examples" / "embed" / "index.html"
WRITTEN_FOR = "http://127.0.0.1:8080"  # the server that the example names


class Site:
    """Somebody else's site: one page, on a port of its own."""

    def __init__(self) -> None:
        self.page = b""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(site.page)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def embed(self, server: str, token: str = "") -> None:
        """Show the example, with this server in it."""
        text = EXAMPLE.read_text()
        assert WRITTEN_FOR in text
        text = text.replace("<offhook-transcript>", f'<offhook-transcript token="{token}">')
        self.page = text.replace(WRITTEN_FOR, server).encode()


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()
    thread = threading.Thread(target=one.http.serve_forever)
    thread.start()
    yield one
    one.http.shutdown()
    thread.join()
    one.http.server_close()


def test_a_page_of_another_origin_shows_words(
    page: PageFactory, server: ServerFactory, site: Site, alphabet: Path
) -> None:
    site.embed(server("--origins", site.url).url)
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
    site.embed(server().url, token)
    one = page(site.url, *microphone(alphabet))
    one.get_by_role("button", name="Start").click()
    message = one.locator("offhook-transcript .message")
    expect(message).to_have_text(
        "The server does not take calls from this site. Ask its operator to allow this address.", timeout=CONNECTED
    )
