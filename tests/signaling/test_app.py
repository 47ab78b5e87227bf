"""The joined server: its front page, its health, its tokens, and what it never writes into a log."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Literal

import pytest
from prometheus_client.parser import text_string_to_metric_families

import web as web_package
from engine.base import Stats
from signaling.auth import TOKEN_LIFETIME
from tests.media.offers import CHROME
from tests.signaling.house import House, OpenHouse, until

KEY = "a-key-of-somebody"


async def test_the_front_is_a_page_for_browsers_and_a_description_for_programs(house: House) -> None:
    async with house.http.get(house.url, headers={"Accept": "text/html,application/xhtml+xml"}) as response:
        assert response.content_type == "text/html"
        assert "<!doctype html>" in (await response.text()).lower()
    async with house.http.get(house.url) as response:
        body = await response.json()
    assert (body["service"], body["engine"]) == ("Offhook", "scripted")
    assert body["endpoints"]["signal"] == "/v1/signal"


KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = [path for path in sorted(Path(web_package.__path__[0]).iterdir()) if path.suffix in KINDS]


@pytest.mark.parametrize(("path", "content"), [(path, path.read_bytes()) for path in FILES], ids=lambda part: "")
async def test_every_file_of_the_page_is_served(house: House, path: Path, content: bytes) -> None:
    async with house.http.get(f"{house.url}/{path.name}") as response:
        assert response.status == 200
        assert response.content_type in (KINDS[path.suffix], "application/javascript")
        assert await response.read() == content


async def test_health_counts_the_places(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    assert await house.health() == {
        "status": "ok",
        "engine": {
            "name": "scripted",
            "state": "ready",
            "restarts": 0,
            "admitting": True,
            "load": {"step_p50": 0.0, "step_p99": 0.0, "fill": 0.0, "backlog": 0.0},
            "upkeep": {"refreshes": 0, "stalls": 0, "losses": 0},
        },
        "capacity": 1,
        "live": 0,
        "free": 1,
        "waiting": 0,
    }
    browser, _ = await house.call("alpha")
    full = await house.health()
    assert (full["status"], full["live"], full["free"]) == ("ok", 1, 0)
    async with house.http.get(f"{house.url}/ready") as response:
        assert response.status == 503
    await browser.send(type="bye")
    await until(lambda: house.switchboard.live == 0)
    assert (await house.health())["free"] == 1


async def test_everyone_may_read_the_figures_as_they_may_the_health(open_house: OpenHouse) -> None:
    house = await open_house(keys=(KEY,))
    async with house.http.get(f"{house.url}/metrics") as response:
        assert (response.status, response.content_type) == (200, "text/plain")
        assert "offhook_sessions_live 0.0" in await response.text()


async def test_what_each_key_does_is_for_operators_to_read(open_house: OpenHouse) -> None:
    house = await open_house(keys=(f"shop:{KEY}",), operator_keys=("staff:the-staffs-own-key",))
    headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {KEY}"}
    async with house.http.post(f"{house.url}/whip", data=CHROME, headers=headers) as response:
        assert response.status == 201
    assert house.figure("offhook_sessions_opened_total", door="whip") == 1
    for shown, may in ((KEY, False), ("wrong-key", False), ("the-staffs-own-key", True)):
        async with house.http.get(f"{house.url}/metrics", headers={"Authorization": f"Bearer {shown}"}) as response:
            assert response.status == 200
            text = await response.text()
        assert ('offhook_key_sessions_live{door="whip",key="shop"} 1.0' in text) is may
        assert ('offhook_key_sessions_opened_total{door="whip",key="shop"} 1.0' in text) is may
        assert ("shop" in text) is may
        families = [family.name for family in text_string_to_metric_families(text)]
        assert len(families) == len(set(families))


async def test_the_figures_tell_what_became_of_calls_and_of_who_was_refused(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    browser, voice = await house.call("alpha")
    second = await house.dial()
    await second.told("ready")
    await second.send(type="offer", sdp=await second.voice(("bravo",)).caller.offer())
    await second.told("error", code="busy")
    async with house.http.post(f"{house.url}/whip", data="nonsense", headers={"Content-Type": "application/sdp"}):
        pass
    await voice.told("word")
    assert house.figure("offhook_sessions_live") == 1
    await browser.send(type="bye")
    await until(lambda: house.switchboard.live == 0)
    assert house.figure("offhook_refused_total", code="busy") == 1
    assert house.figure("offhook_refused_total", code="bad_offer") == 1
    assert house.figure("offhook_sessions_live") == 0
    assert house.figure("offhook_sessions_ended_total", reason="bye") == 1
    assert house.figure("offhook_word_latency_seconds_count") == len(voice.words)
    assert house.figure("offhook_packets_total", kind="received") > 10
    assert 'asr_connect{handler="all"} 2\n' in house.switchboard.metrics.text().decode()
    assert house.figure("asr_open_channels", handler="all") == 0
    assert house.figure("asr_connection_num_steps_count") == 1
    assert 5 < house.figure("asr_connection_num_steps_sum") < 100


async def test_a_callers_line_is_told_and_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.peer.QUALITY_EVERY", 0.2)
    browser, voice = await house.call("alpha", "bravo")
    quality = await voice.told("quality")
    assert quality["loss"] == 0.0
    assert quality["mos"] > 4.0
    assert quality["round_trip"] is not None
    await browser.send(type="bye")
    await until(lambda: house.switchboard.live == 0)
    assert house.figure("offhook_quality_mos_count") >= 1
    assert house.figure("offhook_round_trip_seconds_count") >= 1
    assert house.figure("offhook_packets_total", kind="lost") == 0


@pytest.mark.parametrize("state", ["down", "stuck"])
async def test_health_says_when_the_engine_cannot_serve(
    house: House, monkeypatch: pytest.MonkeyPatch, state: Literal["down", "stuck"]
) -> None:
    monkeypatch.setattr(house.engine, "stats", lambda: Stats(state, 16, 0, 3))
    for path in ("/health", "/ready"):
        async with house.http.get(f"{house.url}{path}") as response:
            assert response.status == 503
    body = await house.health()
    assert (body["status"], body["engine"]["restarts"], body["free"]) == (state, 3, 0)


async def test_health_says_when_the_server_is_ending(house: House) -> None:
    assert (await house.health())["status"] == "ok"
    await house.call("alpha")
    draining = asyncio.create_task(house.switchboard.drain())
    await until(lambda: house.switchboard.draining)
    for path in ("/health", "/ready"):
        async with house.http.get(f"{house.url}{path}") as response:
            assert response.status == 503
    assert (await house.health())["status"] == "draining"
    async with house.http.post(
        f"{house.url}/whip", data=CHROME, headers={"Content-Type": "application/sdp"}
    ) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert (await response.json())["code"] == "draining"
    await asyncio.wait_for(draining, 5)


async def test_tokens_are_for_those_who_have_a_key(open_house: OpenHouse) -> None:
    house = await open_house(keys=(KEY,))
    async with house.http.post(f"{house.url}/v1/tokens") as response:
        assert response.status == 401
        assert (await response.json())["code"] == "unauthorized"
    async with house.http.post(f"{house.url}/v1/tokens", headers={"Authorization": f"Bearer {KEY}"}) as response:
        body = await response.json()
    assert body["token"].startswith("ot_")
    assert 0 < TOKEN_LIFETIME <= 600
    # A token begins calls; it does not make more tokens for ever.
    async with house.http.post(
        f"{house.url}/v1/tokens", headers={"Authorization": f"Bearer {body['token']}"}
    ) as response:
        assert response.status in (401, 403)


async def test_no_log_line_holds_what_was_said_who_said_it_or_how_to_get_in(
    open_house: OpenHouse, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("offhook", "engine", "media"):
        caplog.set_level(logging.DEBUG, name)
    house = await open_house(keys=(KEY,), resume_grace=0.1)
    browser = await house.dial(headers={"Authorization": f"Bearer {KEY}"})
    voice = await browser.speak(["whiskey"])
    await voice.told("word", text="whiskey")
    await browser.send(type="candidate", candidate={"candidate": "candidate:junk 203.0.113.77"})
    await browser.told("error")
    browser.lose()
    await voice.told("ended")
    refused = await house.dial(headers={"Authorization": f"Bearer {KEY}"})
    await refused.send(type="offer", sdp=CHROME[:700])
    await refused.closed()
    await house.close()
    lines = [
        record.getMessage() + str(record.exc_info or "")
        for record in caplog.records
        if record.name.split(".")[0] in ("offhook", "engine", "media")
    ]
    assert any("opened session=" in line for line in lines)
    assert any("reason=lost" in line for line in lines)
    told = browser.all[0]
    forbidden = ["whiskey", KEY, "candidate", "m=audio", "ice-", told["session"], told["resume_token"], "203.0.113.77"]
    for line in lines:
        assert not [word for word in forbidden if word in line], line
        assert not re.search(r"\b\d{1,3}(\.\d{1,3}){3}\b", line), line
