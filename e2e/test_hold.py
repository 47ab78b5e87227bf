"""Silence that is meant: hold, by a new offer on the same connection, and mute."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PageFactory, ServerFactory, microphone
from e2e.server import Server
from e2e.talk import settled, start, wait_for_more, wait_for_word

IDLE = 2  # seconds after which a call without packets ends
LASTS = 4  # seconds of hold or mute

# The page's connection and socket, where a test can reach them.
SPY = """
    window.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...given) { super(...given); window.pc = this; window.made = (window.made ?? 0) + 1; }
    };
    window.WebSocket = class extends WebSocket {
        constructor(...given) { super(...given); window.socket = this; }
    };
"""
RENEGOTIATE = """async (direction) => {
    const [transceiver] = pc.getTransceivers();
    transceiver.direction = direction;
    await pc.setLocalDescription();
    const answered = new Promise((take) => socket.addEventListener('message', ({ data }) => {
        const { type, sdp } = JSON.parse(data);
        if (type === 'answer') take({ type, sdp });
    }));
    socket.send(JSON.stringify({ type: 'offer', sdp: pc.localDescription.sdp }));
    await pc.setRemoteDescription(await answered);
    return transceiver.currentDirection;
}"""
PACKETS = """async () => [...(await pc.getStats()).values()].find(({ type }) => type === 'outbound-rtp').packetsSent"""


@pytest.fixture
def impatient(server: ServerFactory) -> Server:
    """A server that soon ends a call from which nothing comes."""
    return server("--idle-timeout", str(IDLE))


def call(page: PageFactory, server: Server, alphabet: Path) -> Page:
    """A page in its call, after a few words."""
    one = page(f"{server.url}/?processing=off", *microphone(alphabet))
    one.add_init_script(SPY)
    one.reload()
    start(one)
    wait_for_word(one, "bravo")
    return one


def starts(page: Page) -> list[float]:
    """When the words on the page were spoken, in seconds of the call."""
    return [float(word.get_attribute("data-start") or "nan") for word in settled(page).all()]


@pytest.mark.parametrize("hold", ["inactive", "recvonly"])
def test_a_caller_on_hold_keeps_its_call(page: PageFactory, impatient: Server, alphabet: Path, hold: str) -> None:
    one = call(page, impatient, alphabet)
    assert one.evaluate(RENEGOTIATE, hold) == "inactive"
    sent = one.evaluate(PACKETS)
    one.wait_for_timeout(1000 * LASTS)  # not a guess: so long is the hold
    before = starts(one)
    assert one.evaluate(PACKETS) - sent < 5  # nothing was said meanwhile, not even silence
    expect(one.locator("#status")).to_have_text("Listening")
    assert one.evaluate(RENEGOTIATE, "sendonly") == "sendonly"
    wait_for_more(one)
    after = starts(one)
    assert after[: len(before)] == before
    assert after[len(before)] - before[-1] == pytest.approx(LASTS, abs=1.5)
    assert one.evaluate("made") == 1
    expect(one.locator("#message")).to_be_hidden()


def test_a_muted_caller_keeps_its_call(page: PageFactory, impatient: Server, alphabet: Path) -> None:
    one = call(page, impatient, alphabet)
    one.get_by_role("button", name="Mute").click()
    one.wait_for_timeout(1000 * LASTS)  # not a guess: so long is the silence
    expect(one.locator("#status")).to_have_text("Muted")
    one.get_by_role("button", name="Mute").click()
    wait_for_more(one)
