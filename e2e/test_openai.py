"""A page made for OpenAI's Realtime API, of another origin, in a real browser: another address, and nothing else."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from e2e.conftest import PageFactory, ServerFactory, microphone
from e2e.server import Server
from e2e.site import Site
from e2e.talk import SPOKEN
from e2e.wait import until

PROGRAM = (Path(__file__).parent / "openai.js").read_text()
KEY = "a-key-of-the-shop"
SETTINGS = {"type": "transcription", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"


def post(server: Server, path: str, key: str, body: object) -> Any:
    """What a server of the shop's own asks for."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read() or b"null")


def wait_for(page: Page, type: str, count: int = 1) -> list[dict[str, Any]]:
    """The page's events of this type, once there are so many."""
    page.wait_for_function(
        "([type, count]) => events.filter((event) => event.type === type).length >= count",
        arg=[type, count],
        timeout=SPOKEN,
    )
    told: list[dict[str, Any]] = page.evaluate("type => events.filter((event) => event.type === type)", type)
    return told


def test_a_page_made_for_openai_gets_deltas_with_an_ephemeral_key(
    server: ServerFactory, page: PageFactory, site: Site, alphabet: Path
) -> None:
    running = server("--origins", site.url, "--keys", KEY)
    one = page(site.url, *microphone(alphabet))
    secret = post(running, "/v1/realtime/client_secrets", KEY, {"session": SETTINGS})
    calls = f"{running.url}/v1/realtime/calls"
    location = one.evaluate(PROGRAM, {"calls": calls, "key": secret["value"]})
    assert location.startswith("/v1/realtime/calls/rtc_")
    [created] = wait_for(one, "session.created")
    assert created["session"]["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
    deltas = wait_for(one, DELTA, 4)
    assert [event["delta"].strip() for event in deltas][:4] == ["alpha", "bravo", "charlie", "delta"]
    one.evaluate("send({ type: 'input_audio_buffer.commit' })")
    [completed, *_] = wait_for(one, COMPLETED)
    assert completed["transcript"].startswith("alpha bravo charlie delta")
    post(running, f"{location}/hangup", secret["value"], {})
    until(lambda: running.health()["live"], 0)


def test_a_wrong_key_is_told_to_the_page(server: ServerFactory, page: PageFactory, site: Site, alphabet: Path) -> None:
    running = server("--origins", site.url, "--keys", KEY)
    one = page(site.url, *microphone(alphabet))
    told = one.evaluate(PROGRAM, {"calls": f"{running.url}/v1/realtime/calls", "key": "ek_expired"})
    assert json.loads(told)["error"]["code"] == "invalid_api_key"
