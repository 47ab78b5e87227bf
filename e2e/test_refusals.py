"""Every refusal is a sentence on the page that says what to do."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import ALLOWED, FAKE, PageFactory, ServerFactory, microphone
from e2e.server import Server
from e2e.talk import CONNECTED, expect_said, start, stop, wait_for_more, wait_for_word

KEY = "a-key-for-the-test"
ELSEWHERE = "offhook.test"  # resolved by the browser alone: a page from there is not a secure one


def press_start(page: Page) -> None:
    page.locator("#start").click()


def test_a_microphone_that_was_refused(page: PageFactory, shared: Server) -> None:
    one = page(shared.url, FAKE, "--use-fake-ui-for-media-stream=deny")
    press_start(one)
    expect_said(one, "did not allow the microphone", "Allow it in the address bar")
    expect(one.locator("#status")).to_have_text("Ready")
    expect(one.locator("#start")).to_have_text("Start")


def test_no_microphone_at_all(page: PageFactory, shared: Server) -> None:
    one = page(shared.url, ALLOWED)
    press_start(one)
    expect_said(one, "No microphone was found.", "Plug one in")


def test_a_page_that_is_not_secure(page: PageFactory, shared: Server, alphabet: Path) -> None:
    resolve = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"
    one = page(f"http://{ELSEWHERE}:{shared.port}", resolve, *microphone(alphabet))
    press_start(one)
    expect_said(one, "secure pages only", "https://", "http://localhost")


def test_all_lines_busy_until_one_is_free(page: PageFactory, server: ServerFactory, alphabet: Path) -> None:
    running = server("--capacity", "1")
    first, second = (page(running.url, *microphone(alphabet)) for _ in range(2))
    start(first)
    press_start(second)
    expect_said(second, "All lines are busy.", "A line is tried again in", "seconds.")
    expect(second.locator("#status")).to_have_text("Waiting for a line")
    stop(first)
    expect(second.locator("#status")).to_have_text("Listening", timeout=2 * CONNECTED)
    expect(second.locator("#message")).to_be_hidden()
    wait_for_more(second)


def test_a_caller_waits_in_line_and_sees_where_it_stands(
    page: PageFactory, server: ServerFactory, alphabet: Path
) -> None:
    running = server("--capacity", "1", "--queue-wait", "60")
    first, second = (page(running.url, *microphone(alphabet)) for _ in range(2))
    start(first)
    expect(second.get_by_text("Press Start and speak.")).to_be_visible()
    expect(second.get_by_text("Speak now.")).to_be_hidden()
    press_start(second)
    expect(second.locator("#status")).to_have_text("Next in line", timeout=CONNECTED)
    expect(second.get_by_text("Press Start and speak.")).to_be_hidden()
    expect(second.get_by_text("Speak now.")).to_be_hidden()
    stop(first)
    expect(second.locator("#status")).to_have_text("Listening", timeout=CONNECTED)
    wait_for_more(second)


@pytest.mark.parametrize("button", ["Use this key", "Start"])
def test_a_key_is_asked_for(page: PageFactory, server: ServerFactory, alphabet: Path, button: str) -> None:
    one = page(server("--keys", KEY).url, *microphone(alphabet))
    press_start(one)
    expect_said(one, "asks for a key", "Enter the key")
    one.get_by_label("Key", exact=True).fill(KEY)
    one.get_by_role("button", name=button).click()
    expect(one.locator("#status")).to_have_text("Listening", timeout=CONNECTED)
    expect(one.locator("#keyform")).to_be_hidden()


def test_a_key_in_the_address(page: PageFactory, server: ServerFactory, alphabet: Path) -> None:
    one = page(f"{server('--keys', KEY).url}/#key={KEY}", *microphone(alphabet))
    assert KEY not in one.url
    start(one)
    wait_for_word(one, "alpha")
