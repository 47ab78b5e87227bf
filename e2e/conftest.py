"""A real server, a real Chromium with a recording as its microphone, and the page between them."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from e2e.server import Server
from e2e.site import Site
from e2e.sound import write_tones

FLAGS = ("--no-sandbox", "--disable-background-networking")
ALLOWED = "--use-fake-ui-for-media-stream"
FAKE = "--use-fake-device-for-media-stream"

ServerFactory = Callable[..., Server]
BrowserFactory = Callable[..., Browser]
PageFactory = Callable[..., Page]
Figures = Callable[[str], None]

MEASURED = pytest.StashKey[list[str]]()


def microphone(wav: Path) -> tuple[str, ...]:
    """The flags of a Chromium that hears this recording, once, whenever a page opens its microphone."""
    return FAKE, ALLOWED, f"--use-file-for-fake-audio-capture={wav}%noloop"


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[BrowserFactory]:
    """`browser(*flags)`: a Chromium; the same flags give the same one, since starting it takes a second."""
    found = shutil.which("chromium")
    assert found, "the browser tests need Chromium: apt-get install chromium"
    running: dict[tuple[str, ...], Browser] = {}

    def start(*flags: str) -> Browser:
        if flags not in running:
            running[flags] = playwright.chromium.launch(executable_path=found, args=[*FLAGS, *flags])
        return running[flags]

    yield start
    for one in running.values():
        one.close()


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ServerFactory]:
    """`server(*arguments, port=0)`: a server of the test's own. None may have met what it did not expect."""
    started: list[Server] = []
    numbers = count()

    def start(*arguments: str, engine: str = "scripted", port: int = 0) -> Server:
        log = tmp_path / f"server-{next(numbers)}.log"
        started.append(Server(log, "--engine", engine, *arguments, port=port))
        return started[-1]

    yield start
    for one in started:
        one.end()
        request.node.add_report_section("teardown", "server", one.log)
    assert not [one.log for one in started if "Traceback" in one.log]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the scripted engine, for tests that leave it as it was."""
    running = Server(tmp_path_factory.mktemp("shared") / "server.log", "--engine", "scripted")
    yield running
    running.end()
    assert "Traceback" not in running.log, running.log


@pytest.fixture
def page(browser: BrowserFactory) -> Iterator[PageFactory]:
    """`page(url, *flags)`: a page of its own profile. None may throw what nobody catches."""
    opened: list[Page] = []
    faults: list[str] = []

    def open_page(url: str, *flags: str) -> Page:
        one = browser(*flags).new_context().new_page()
        opened.append(one)
        one.on("pageerror", lambda error: faults.append(str(error)))
        one.goto(url)
        return one

    yield open_page
    for one in opened:
        one.context.close()
    assert not faults


@pytest.fixture
def site() -> Iterator[Site]:
    """Another origin."""
    one = Site()
    yield one
    one.close()


@pytest.fixture(scope="session")
def alphabet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of the scripted engine's words, alpha to zulu, four times over: a minute."""
    return write_tones(tmp_path_factory.mktemp("sound") / "alphabet.wav", times=4)


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Figures:
    """`figures(line)`: a measurement to show at the end of the run."""
    return pytestconfig.stash.setdefault(MEASURED, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was measured."""
    for line in config.stash.get(MEASURED, []):
        terminalreporter.write_line(line)
