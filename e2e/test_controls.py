"""The controls of the page: by mouse, by keyboard, and by name for a screen reader."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PageFactory, microphone
from e2e.server import Server
from e2e.sound import write_tones
from e2e.talk import SPOKEN, settled, start, stop, wait_for_more, wait_for_word, words
from engine.scripted import WORDS

REPEATED_IDS = "[...document.querySelectorAll('[id]')].map((e) => e.id).filter((id, i, all) => all.indexOf(id) < i)"
MUTED = 2_500  # milliseconds for which the microphone is muted: more than four words


@pytest.fixture
def one(page: PageFactory, shared: Server, alphabet: Path) -> Page:
    """A page before its call, with the sound as it is: tones are no voice."""
    return page(f"{shared.url}/?processing=off", *microphone(alphabet))


def test_two_pages_show_no_word_of_each_other(page: PageFactory, shared: Server, tmp_path: Path) -> None:
    halves = WORDS[:13], WORDS[13:]
    wavs = [write_tones(tmp_path / f"{half[0]}.wav", half) for half in halves]
    pages = [page(f"{shared.url}/?processing=off", *microphone(wav)) for wav in wavs]
    for one in pages:
        start(one)
    for one, half in zip(pages, halves, strict=True):
        wait_for_word(one, half[-1])
        assert words(one) == list(half)


def test_a_muted_microphone_says_nothing(one: Page) -> None:
    start(one)
    wait_for_word(one, "bravo")
    mute = one.get_by_role("button", name="Mute")
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "true")
    expect(one.locator("#status")).to_have_text("Muted")
    one.wait_for_timeout(MUTED)  # not a guess: so much of the recording is to be lost
    before = words(one)
    mute.click()
    expect(one.locator("#status")).to_have_text("Listening")
    wait_for_more(one)
    heard = words(one)
    assert heard[: len(before)] == before
    skipped = WORDS.index(heard[len(before)]) - WORDS.index(before[-1])
    assert skipped > 3, heard
    expect(one.locator(".utterance")).to_have_count(2)  # the silence ended the first


def test_microphones_to_choose_from(one: Page) -> None:
    start(one)
    device = one.get_by_role("combobox", name="Microphone")
    choices = device.locator("option").all_text_contents()
    assert choices == ["Default microphone", "Fake Audio Input 1", "Fake Audio Input 2"]
    device.select_option("Fake Audio Input 2")
    wait_for_more(one)
    expect(device.locator("option:checked")).to_have_text("Fake Audio Input 2")


def test_the_transcript_as_text(one: Page, tmp_path: Path) -> None:
    one.context.grant_permissions(["clipboard-read", "clipboard-write"])
    start(one)
    wait_for_word(one, "charlie")
    stop(one)
    said = " ".join(words(one))
    assert said.startswith("alpha bravo charlie")

    one.get_by_role("button", name="Copy").click()
    expect(one.get_by_role("button", name="Copied")).to_be_visible()
    assert one.evaluate("navigator.clipboard.readText()") == said

    with one.expect_download() as download:
        one.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename.startswith("transcript-")
    file = tmp_path / "transcript.txt"
    download.value.save_as(file)
    assert file.read_text() == f"[0:0{second(one)}] {said}\n"

    one.get_by_role("button", name="Clear").click()
    expect(settled(one)).to_have_count(0)
    expect(one.get_by_text("Press Start and speak.")).to_be_visible()


def second(page: Page) -> int:
    """The whole second in which the first utterance began."""
    return int(float(settled(page).first.get_attribute("data-start") or "nan"))


def test_a_call_by_keyboard_alone(one: Page) -> None:
    start_button = one.locator("#start")
    one.keyboard.press("Space")
    expect(one.locator("#status")).to_have_text("Listening")
    expect(start_button).to_have_attribute("aria-pressed", "true")
    one.keyboard.press("m")
    expect(one.locator("#status")).to_have_text("Muted")
    one.keyboard.press("m")
    expect(one.locator("#status")).to_have_text("Listening")
    wait_for_more(one, words=1)
    one.keyboard.press("Space")
    expect(one.locator("#status")).to_have_text("Ready")
    start_button.focus()
    one.keyboard.press("Enter")
    expect(one.locator("#status")).to_have_text("Listening")


def test_the_level_follows_the_sound(one: Page) -> None:
    meter = one.get_by_role("meter", name="Microphone level")
    expect(meter).to_have_attribute("aria-valuenow", "0")
    start(one)
    expect(meter).not_to_have_attribute("aria-valuenow", "0", timeout=SPOKEN)
    stop(one)
    expect(meter).to_have_attribute("aria-valuenow", "0")


def test_everything_has_a_name_and_a_role(one: Page) -> None:
    start(one)
    wait_for_word(one, "alpha")
    expect(one).to_have_title("Offhook")
    expect(one.locator("html")).to_have_attribute("lang", "en")
    expect(one.get_by_role("heading", level=1)).to_have_count(1)
    for control in one.locator("button, select, input, [role=meter], ol").filter(visible=True).all():
        expect(control).to_have_accessible_name(re.compile(r"\S"))
    for role in ("banner", "main", "contentinfo", "status"):
        expect(one.get_by_role(role)).to_have_count(1)
    expect(one.locator("#message")).to_have_attribute("role", "alert")
    expect(one.locator("#transcript")).to_have_attribute("aria-live", "polite")
    assert one.evaluate(REPEATED_IDS) == []
