"""What a person does on the page, and reads there."""

from playwright.sync_api import Locator, Page, expect

CONNECTED = 10_000  # milliseconds for a call to be up
SPOKEN = 15_000  # milliseconds for a word of a recording to come


def start(page: Page) -> None:
    """Press Start and wait for the call to be up."""
    page.locator("#start").click()
    expect(page.locator("#status")).to_have_text("Listening", timeout=CONNECTED)


def stop(page: Page) -> None:
    """Press Stop and wait for the last words."""
    page.locator("#start").click()
    expect(page.locator("#status")).to_have_text("Ready", timeout=CONNECTED)


def settled(page: Page) -> Locator:
    """The words that no longer change."""
    return page.locator("#transcript .word")


def wait_for_word(page: Page, word: str, timeout: float = SPOKEN) -> None:
    """Wait until this word has settled."""
    expect(settled(page).filter(has_text=word).first).to_be_visible(timeout=timeout)


def wait_for_more(page: Page, words: int = 3, timeout: float = SPOKEN) -> list[str]:
    """Wait for so many words more than there are; those there were."""
    before = settled(page).all_text_contents()
    expect(settled(page).nth(len(before) + words - 1)).to_be_attached(timeout=timeout)
    return before


def words(page: Page) -> list[str]:
    """The words that have settled by now."""
    return settled(page).all_text_contents()


def expect_said(page: Page, *parts: str, timeout: float = CONNECTED) -> None:
    """The page says a sentence that has these parts."""
    for part in parts:
        expect(page.locator("#message")).to_contain_text(part, timeout=timeout)
