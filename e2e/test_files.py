"""Recordings on the page: dropped or chosen, written down, played from any word, saved, refused."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import webvtt
from playwright.sync_api import Locator, Page, expect

from e2e.conftest import BrowserFactory, PageFactory, ServerFactory
from e2e.server import Server
from e2e.sound import LEAD, write_tones
from engine.scripted import WORDS

DONE = 20_000  # milliseconds for a recording to be written down
NEAR = 0.25  # seconds within which the player is at the word that was pressed, although it goes on
KEY = "a-key-for-the-test"

# A person drags files over the page and lets go: what the browser makes of that, with files that were never on a disk.
DROP = """(files) => {
  const dataTransfer = new DataTransfer();
  for (const [name, text] of files) {
    dataTransfer.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name));
  }
  const tell = (kind) => document.body.dispatchEvent(
    new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
  tell('dragenter');
  window.curtain = !document.getElementById('drop').hidden;
  tell('dragover');
  tell('drop');
}"""

# Every state of a card and every step of its bar, as they are seen.
WATCH = """
  window.seen = { phases: [], bars: [], lines: [] };
  const note = (list, value) => list.at(-1) !== value && list.push(value);
  new MutationObserver(() => {
    const card = document.querySelector('.file');
    if (!card) return;
    note(seen.phases, card.dataset.phase);
    note(seen.lines, card.querySelectorAll('.utterance').length);
    if (card.dataset.phase === 'hearing') note(seen.bars, card.querySelector('progress').value);
  }).observe(document, { subtree: true, childList: true, attributes: true });
"""


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some minutes of the scripted engine's words."""
    return write_tones(tmp_path_factory.mktemp("talk") / "talk.wav", times=12)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five words."""
    return write_tones(tmp_path_factory.mktemp("short") / "short.wav", WORDS[:5])


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What says that it is MP3, and is not."""
    path = tmp_path_factory.mktemp("broken") / "broken.mp3"
    path.write_bytes(b"ID3\x03" + bytes(400) + b"nonsense" * 50)
    return path


@pytest.fixture
def french(browser: BrowserFactory, shared: Server) -> Iterator[Page]:
    """The page in the browser of somebody who reads French."""
    context = browser().new_context(locale="fr-FR", viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(shared.url)
    yield page
    context.close()


def drop(page: Page, *files: Path) -> None:
    """Drop files on the page."""
    page.evaluate(DROP, [(file.name, base64.b64encode(file.read_bytes()).decode()) for file in files])


def choose(page: Page, *files: Path) -> None:
    """Choose files with the button."""
    with page.expect_file_chooser() as chooser:
        page.locator("#choose").click()
    chooser.value.set_files(files)


def card(page: Page, name: str) -> Locator:
    """The card of the file with this name."""
    return page.locator(".file").filter(has=page.get_by_role("heading", name=name, exact=True))


def is_done(one: Locator) -> None:
    expect(one).to_have_attribute("data-phase", "done", timeout=DONE)


def player_time(one: Locator) -> float:
    time: float = one.locator("audio").evaluate("(audio) => audio.currentTime")
    return time


def saved(page: Page, name: str, folder: Path, shown: str) -> Path:
    """Download a card's words in a format, under the name that the browser is given."""
    with page.expect_download() as download:
        card(page, name).get_by_role("button", name=f"as {shown}").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_dropped_file_is_heard_with_progress_and_read_back_from_its_subtitles(
    page: PageFactory, shared: Server, talk: Path, tmp_path: Path
) -> None:
    one = page(shared.url)
    one.evaluate(WATCH)
    drop(one, talk)
    assert one.evaluate("window.curtain")
    expect(one.locator("#drop")).to_be_hidden()
    expect(one.locator("#welcome")).to_be_hidden()
    is_done(card(one, "talk.wav"))
    expect(one.locator("#news")).to_have_text("talk.wav is written down.")

    seen = one.evaluate("window.seen")
    assert seen["phases"] == ["sending", "hearing", "done"]
    assert len([bar for bar in seen["bars"] if 0 < bar < 1]) > 1, "the bar moved"
    assert seen["bars"] == sorted(seen["bars"])
    said = one.locator(".file .word").all_text_contents()
    assert said == [*WORDS] * 12

    file = saved(one, "talk.wav", tmp_path, "SRT")
    assert file.name == "talk.srt"
    captions = webvtt.from_srt(str(file)).captions
    assert " ".join(caption.text for caption in captions).split() == said
    assert abs(captions[0].start_in_seconds - LEAD) < 1
    assert all(caption.start < caption.end for caption in captions)
    vtt = webvtt.read(str(saved(one, "talk.wav", tmp_path, "VTT"))).captions
    assert [(cue.start, cue.text) for cue in vtt] == [(cue.start, cue.text) for cue in captions]
    assert saved(one, "talk.wav", tmp_path, "TXT").read_text().split() == said
    words = json.loads(saved(one, "talk.wav", tmp_path, "JSON").read_text())["words"]
    assert [word["word"] for word in words] == said


def test_a_word_that_is_pressed_is_heard_and_the_mark_goes_on(page: PageFactory, shared: Server, short: Path) -> None:
    one = page(shared.url)
    choose(one, short)
    talk = card(one, "short.wav")
    is_done(talk)
    pressed = talk.locator(".word").nth(2)
    pressed.click()
    start = float(pressed.get_attribute("data-start") or "nan")
    assert start <= player_time(talk) < start + NEAR + 1
    expect(pressed).to_have_class(re.compile("spoken"))
    expect(talk.locator(".word").nth(4)).to_have_class(re.compile("spoken"))  # it plays
    one.keyboard.press("Space")  # which is on the player now, and starts no call
    expect(talk.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect(one.locator("#status")).to_have_text("Ready")


def test_a_recording_is_played_word_by_word_with_the_keyboard(page: PageFactory, shared: Server, short: Path) -> None:
    one = page(shared.url)
    choose(one, short)
    talk = card(one, "short.wav")
    is_done(talk)
    starts = [float(word.get_attribute("data-start") or "nan") for word in talk.locator(".word").all()]
    slider = talk.get_by_role("slider", name="Position in short.wav")
    slider.focus()
    for index in (0, 1, 2):
        slider.press("ArrowRight")
        expect(talk.locator(".word").nth(index)).to_have_class(re.compile("spoken"))
        assert abs(player_time(talk) - starts[index]) < 0.01
    expect(slider).to_have_attribute("aria-valuetext", re.compile(rf"of 0:0\d, {WORDS[2]}$"))
    slider.press("ArrowLeft")
    assert abs(player_time(talk) - starts[1]) < 0.01
    time = talk.get_by_role("button", name="Play from 0:0").first
    time.press("Enter")
    expect(talk.get_by_role("button", name="Pause")).to_be_focused()


def test_of_three_files_one_is_broken_and_the_others_are_not_disturbed(
    page: PageFactory, shared: Server, talk: Path, short: Path, broken: Path
) -> None:
    one = page(shared.url)
    choose(one, talk, broken, short)
    failed = card(one, "broken.mp3")
    expect(failed).to_have_attribute("data-phase", "failed", timeout=DONE)
    expect(failed.locator(".reason")).to_contain_text("The file is damaged. Choose another one.")
    for name, words in (("talk.wav", 12 * len(WORDS)), ("short.wav", 5)):
        is_done(card(one, name))
        expect(card(one, name).locator(".word")).to_have_count(words)
        expect(card(one, name).locator(".status")).to_contain_text(f"{words} words")

    failed.get_by_role("button", name="Try broken.mp3 again").click()
    expect(failed.get_by_role("button", name="Cancel broken.mp3")).to_have_count(0, timeout=DONE)
    expect(failed).to_have_attribute("data-phase", "failed")
    failed.get_by_role("button", name="Remove broken.mp3").click()
    expect(one.locator(".file")).to_have_count(2)


def test_one_plays_at_a_time(page: PageFactory, shared: Server, short: Path, talk: Path) -> None:
    one = page(shared.url)
    choose(one, short, talk)
    for name in ("short.wav", "talk.wav"):
        is_done(card(one, name))
    for name in ("short.wav", "talk.wav"):
        toggle = card(one, name).get_by_role("button", name=name, exact=True)
        if toggle.get_attribute("aria-expanded") == "false":
            toggle.click()
        card(one, name).get_by_role("button", name="Play", exact=True).click()
        expect(one.get_by_role("button", name="Pause")).to_have_count(1)
    expect(card(one, "talk.wav").get_by_role("button", name="Pause")).to_be_visible()


def test_a_file_that_is_cancelled_can_begin_again(page: PageFactory, server: ServerFactory, short: Path) -> None:
    running = server("--keys", KEY)
    one = page(f"{running.url}/#key={KEY}")
    one.route("**/api/transcribe/stream", lambda route: None)  # it is never answered
    choose(one, short)
    file = card(one, "short.wav")
    file.get_by_role("button", name="Cancel short.wav").click()
    expect(file.locator(".status")).to_have_text("Cancelled.")
    one.unroute("**/api/transcribe/stream")
    file.get_by_role("button", name="Try short.wav again").click()
    is_done(file)


def test_a_key_is_asked_for_and_the_file_goes_on(page: PageFactory, server: ServerFactory, short: Path) -> None:
    one = page(server("--keys", KEY).url)
    choose(one, short)
    expect(one.locator("#message")).to_contain_text("asks for a key")
    one.get_by_label("Key", exact=True).fill(KEY)
    one.get_by_role("button", name="Use this key").click()
    is_done(card(one, "short.wav"))
    expect(one.locator("#notice")).to_be_hidden()
    expect(one.locator("#status")).to_have_text("Ready")  # no call has begun


def test_the_page_speaks_french_to_who_reads_it_and_remembers_another_choice(
    french: Page, short: Path, broken: Path
) -> None:
    expect(french.locator("html")).to_have_attribute("lang", "fr")
    expect(french.get_by_role("button", name="Démarrer")).to_be_visible()
    expect(french.get_by_text("Appuyez sur Démarrer et parlez.")).to_be_visible()
    expect(french.get_by_role("meter", name="Niveau du microphone")).to_have_count(1)
    french.locator("#file").set_input_files([short, broken])
    is_done(card(french, "short.wav"))
    expect(card(french, "short.wav").locator(".status")).to_have_text(re.compile(r"5 mots$"))
    expect(card(french, "broken.mp3").locator(".reason")).to_contain_text("Le fichier est endommagé.")
    expect(french.get_by_role("button", name="Télécharger short.wav en SRT")).to_be_visible()
    assert no_wider(french)

    french.get_by_role("combobox", name="Langue").select_option("Español")
    expect(french.get_by_role("button", name="Empezar")).to_be_visible()
    expect(card(french, "short.wav").locator(".status")).to_have_text(re.compile(r"5 palabras$"))
    expect(card(french, "short.wav").get_by_role("button", name="Reproducir", exact=True)).to_be_visible()
    expect(card(french, "broken.mp3").locator(".reason")).to_contain_text("El archivo está dañado.")
    expect(card(french, "short.wav").locator(".word")).to_have_count(5)
    assert no_wider(french)
    french.reload()
    expect(french.locator("html")).to_have_attribute("lang", "es")
    expect(french.get_by_role("combobox", name="Idioma")).to_have_value("es")


def no_wider(page: Page) -> bool:
    """Whether all fits into a telephone's width."""
    fits: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return fits


def test_everything_about_a_file_has_a_name(page: PageFactory, shared: Server, short: Path, broken: Path) -> None:
    one = page(shared.url)
    choose(one, short, broken)
    is_done(card(one, "short.wav"))
    expect(card(one, "broken.mp3")).to_have_attribute("data-phase", "failed", timeout=DONE)
    for control in one.locator("button, select, input, progress, ol").filter(visible=True).all():
        expect(control).to_have_accessible_name(re.compile(r"\S"))
    expect(one.get_by_role("list", name="Transcript of short.wav")).to_be_visible()
