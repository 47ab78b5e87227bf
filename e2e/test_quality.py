"""How good the line is, as a real browser's packets tell it and as the page says it."""

import re
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import expect

from e2e.conftest import PageFactory, ServerFactory, microphone
from e2e.server import Server
from e2e.talk import start, stop, wait_for_word

MEASURED = 15_000  # milliseconds for the line to be measured and said


def test_a_good_line_is_called_good(page: PageFactory, shared: Server, alphabet: Path) -> None:
    caller = page(shared.url, *microphone(alphabet))
    start(caller)
    expect(caller.locator("#figures")).to_have_text(re.compile(r"^Good line · "), timeout=MEASURED)
    stop(caller)


def test_what_is_lost_on_the_way_is_repaired_and_both_are_said(
    page: PageFactory, server: ServerFactory, alphabet: Path
) -> None:
    bent = server("--impair", "loss-10")
    caller = page(bent.url, *microphone(alphabet))
    start(caller)
    lost = re.compile(r"^(Good|Fair) line, \d+% lost and (mostly )?repaired")
    expect(caller.locator("#figures")).to_have_text(lost, timeout=MEASURED)
    wait_for_word(caller, "zulu")
    with urlopen(f"{bent.url}/metrics") as response:
        figures = dict(line.rsplit(" ", 1) for line in response.read().decode().splitlines() if line[0] != "#")
    repaired, lost_for_good = (
        float(figures[f'offhook_packets_total{{kind="{kind}"}}']) for kind in ("repaired", "lost")
    )
    assert repaired > 2 * lost_for_good
    assert float(figures["offhook_round_trip_seconds_count"]) > 0
    stop(caller)
