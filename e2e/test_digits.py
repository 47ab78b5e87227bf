"""Keys of a telephone: pressed on the page or by the client, told by the server."""

import itertools
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from e2e.conftest import PageFactory, microphone
from e2e.server import Server
from e2e.talk import CONNECTED, start, wait_for_more, wait_for_word

TOLD = 5_000  # milliseconds for a key to come back
PRESSED = ["1", "2", "3", "#"]
NO_KEYS = "Object.defineProperty(RTCDTMFSender.prototype, 'canInsertDTMF', { get: () => false });"
DIAL = """async () => {
    const { OffhookClient } = await import('/offhook.js');
    const client = new OffhookClient();
    const told = [];
    client.addEventListener('digit', ({ detail }) => told.push(detail));
    await client.start();
    await new Promise((live) => client.addEventListener('state', ({ detail }) => detail.state === 'live' && live()));
    const sent = client.dial('12') && client.dial('3#', { duration: 0.2 });
    const another = () => new Promise((told) => client.addEventListener('digit', told, { once: true }));
    while (sent && told.length < 4) await another();
    await client.stop();
    return { sent, told, text: client.transcript.text() };
}"""


@pytest.fixture
def one(page: PageFactory, shared: Server, alphabet: Path) -> Page:
    """A page before its call, with the sound as it is: tones are no voice."""
    return page(f"{shared.url}/?processing=off", *microphone(alphabet))


def digits(page: Page) -> Locator:
    """The keys that the server has told of."""
    return page.locator("#transcript .digit")


def test_keys_pressed_on_the_page_come_back_once_each_in_order(one: Page) -> None:
    start(one)
    wait_for_word(one, "alpha")
    one.get_by_role("button", name="Keypad").click()
    keypad = one.get_by_role("group", name="Keypad")
    for name in ("1", "2", "3", "Hash"):
        keypad.get_by_role("button", name=name).click()  # faster than they are sent
    expect(digits(one)).to_have_text(PRESSED, timeout=TOLD)
    wait_for_more(one)
    expect(digits(one)).to_have_text(PRESSED)
    starts = [float(key.get_attribute("data-start") or "nan") for key in digits(one).all()]
    assert all(0.1 < later - earlier < 0.5 for earlier, later in itertools.pairwise(starts)), starts


def test_the_keypad_by_keyboard_alone(one: Page) -> None:
    start(one)
    opener, keypad = one.get_by_role("button", name="Keypad"), one.locator("#keypad")
    expect(opener).to_have_attribute("aria-expanded", "false")
    one.keyboard.press("k")
    expect(keypad).to_be_visible()
    expect(opener).to_have_attribute("aria-expanded", "true")
    for key in PRESSED:
        one.keyboard.press(key)
    keypad.get_by_role("button", name="Star").focus()
    one.keyboard.press("Enter")
    expect(digits(one)).to_have_text([*PRESSED, "*"], timeout=TOLD)
    one.keyboard.press("Escape")
    expect(keypad).to_be_hidden()
    expect(opener).to_be_focused()
    one.keyboard.press("5")  # which now presses nothing
    wait_for_more(one)
    expect(digits(one)).to_have_count(5)


def test_a_client_dials_and_is_told(one: Page) -> None:
    outcome = one.evaluate(DIAL)
    assert outcome["sent"]
    assert [event["digit"] for event in outcome["told"]] == PRESSED
    assert [event["duration"] for event in outcome["told"]][2:] == pytest.approx([0.2, 0.2], abs=0.05)
    assert "[1] [2]" in outcome["text"]


def test_a_browser_that_cannot_send_keys_has_no_keypad(one: Page) -> None:
    one.add_init_script(NO_KEYS)
    one.reload()
    start(one)
    expect(one.get_by_role("button", name="Keypad")).to_be_disabled()
    one.keyboard.press("k")
    expect(one.locator("#keypad")).to_be_hidden()


def test_the_keypad_closes_with_the_call(one: Page) -> None:
    start(one)
    one.get_by_role("button", name="Keypad").click()
    one.locator("#start").click()
    expect(one.locator("#status")).to_have_text("Ready", timeout=CONNECTED)
    expect(one.locator("#keypad")).to_be_hidden()
    expect(one.get_by_role("button", name="Keypad")).to_be_disabled()
