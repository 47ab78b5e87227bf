"""What goes wrong in the middle of a call is told, and the page goes on by itself under the same transcript."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import PageFactory, ServerFactory, microphone
from e2e.server import Server
from e2e.talk import expect_said, start, stop, wait_for_more, wait_for_word, words
from e2e.wait import until

TOLD = 2_000  # milliseconds within which a loss is told
BACK = 10_000  # milliseconds within which a call goes on

# The page's newest peer connection, where a test can reach it.
SPY = """
    window.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...given) { super(...given); window.pc = this; }
    };
"""
FAIL = """
    Object.defineProperty(pc, 'connectionState', { value: 'failed' });
    pc.dispatchEvent(new Event('connectionstatechange'));
"""


@pytest.mark.parametrize("leave", [Server.kill, Server.end], ids=["killed", "ended"])
def test_a_server_that_restarts(
    page: PageFactory, server: ServerFactory, alphabet: Path, leave: Callable[[Server], object]
) -> None:
    before = server()
    one = page(before.url, *microphone(alphabet))
    start(one)
    wait_for_word(one, "bravo")
    leave(before)
    expect_said(one, "Reconnecting", timeout=TOLD)
    kept = words(one)
    server(port=before.port)
    expect(one.locator("#status")).to_have_text("Listening", timeout=BACK)
    expect(one.locator("#message")).to_be_hidden()
    wait_for_more(one)
    assert words(one)[: len(kept)] == kept


def test_a_server_that_is_gone_is_told(page: PageFactory, server: ServerFactory, alphabet: Path) -> None:
    running = server()
    one = page(running.url, *microphone(alphabet))
    start(one)
    running.kill()
    expect_said(one, "The connection was lost.", "Reconnecting", timeout=TOLD)
    expect(one.locator("#status")).to_have_text("Reconnecting")
    stop(one)


def test_a_path_that_fails_while_the_socket_stays(page: PageFactory, server: ServerFactory, alphabet: Path) -> None:
    running = server()
    one = page(running.url, *microphone(alphabet))
    one.add_init_script(SPY)
    one.reload()
    start(one)
    wait_for_word(one, "bravo")
    one.evaluate(FAIL)  # the server still hears the old path
    expect(one.locator("#status")).to_have_text("Reconnecting", timeout=TOLD)
    expect(one.locator("#status")).to_have_text("Listening", timeout=BACK)
    kept = wait_for_more(one)
    assert words(one)[: len(kept)] == kept
    expect(one.locator("#message")).to_be_hidden()
    assert running.health()["live"] == 1
    assert "held session" not in running.log  # a new path is no goodbye


def test_an_engine_that_is_killed(page: PageFactory, server: ServerFactory, alphabet: Path) -> None:
    running = server()
    one = page(running.url, *microphone(alphabet))
    start(one)
    wait_for_word(one, "bravo")
    running.engine().kill()
    expect_said(one, "The speech recognizer has stopped", timeout=TOLD)
    kept = words(one)
    expect(one.locator("#status")).to_have_text("Listening", timeout=BACK)
    wait_for_more(one)
    assert words(one)[: len(kept)] == kept
    assert running.health()["engine"]["restarts"] == 1


def test_a_tab_that_closes_leaves_nothing(page: PageFactory, server: ServerFactory, alphabet: Path) -> None:
    running = server()
    first = page(running.url, *microphone(alphabet))
    start(first)  # the first call also starts what stays: a pool's thread, a library's file
    stop(first)
    first.context.close()  # and with it the connections that a browser keeps open

    second = page(running.url, *microphone(alphabet))
    until(lambda: running.health()["live"], 0)
    before = running.holdings()
    start(second)
    wait_for_more(second)
    assert running.health()["live"] == 1
    assert running.holdings() > before
    second.close(run_before_unload=True)
    until(lambda: running.health()["live"], 0, seconds=2)
    until(lambda: [now > then for now, then in zip(running.holdings(), before, strict=True)], [False] * 4, seconds=5)
