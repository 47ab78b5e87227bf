"""WHIP (RFC 9725) and the transcript by server-sent events, over real HTTP."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from engine.events import Word
from signaling.transports import listener
from signaling.transports.whip import EVENTS_REL
from tests.media.offers import CHROME, FFMPEG, VIDEO
from tests.signaling.house import Footprint, House, OpenHouse, Voice, until

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
BOTH = FFMPEG.replace("BUNDLE 0", "BUNDLE 0 v") + VIDEO


@pytest.fixture
async def publish(house: House) -> AsyncIterator[Any]:
    """Begins a call by WHIP: the words, the resource's URL, and the answer's headers."""
    voices: list[Voice] = []

    async def begin(*words: str) -> tuple[Voice, str, Any]:
        voice = Voice(words, 1.0)
        voices.append(voice)
        async with house.http.post(f"{house.url}/whip", data=await voice.caller.offer(), headers=SDP) as response:
            assert response.status == 201
            assert response.content_type == "application/sdp"
            await voice.caller.accept(await response.text())
            return voice, f"{house.url}{response.headers['Location']}", response.headers

    yield begin
    for voice in voices:
        await voice.close()


class Reader:
    """What an EventSource sees."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.ids: list[int] = []

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        number = 0
        async for line in self._response.content:
            text = line.decode().rstrip("\n")
            if text.startswith("id: "):
                number = int(text.removeprefix("id: "))
            elif text.startswith("data: "):
                self.ids.append(number)
                event = json.loads(text.removeprefix("data: "))
                assert event["seq"] == number
                yield event

    async def until(self, type: str) -> list[dict[str, Any]]:
        """Every event up to the first of this type."""
        events = []
        async with asyncio.timeout(5):
            async for event in self:
                events.append(event)
                if event["type"] == type:
                    return events
        raise AssertionError(f"the transcript ended before {type}")


def texts(events: list[dict[str, Any]]) -> list[str]:
    return [event["text"] for event in events if event["type"] == "word"]


async def post(house: House, body: Any, **headers: str) -> tuple[int, Any, dict[str, Any]]:
    async with house.http.post(f"{house.url}/whip", data=body, headers={**SDP, **headers}) as response:
        text = await response.text()
        return response.status, response.headers, json.loads(text) if "json" in response.content_type else {}


# A call


async def test_a_publisher_is_answered_and_its_transcript_read_while_it_speaks(house: House, publish: Any) -> None:
    voice, resource, headers = await publish("alpha", "bravo")
    assert re.fullmatch(r'"[0-9a-f]{16}"', headers["ETag"])
    assert f'<{resource.removeprefix(house.url)}/events>; rel="{EVENTS_REL}"' in headers["Link"]
    session = resource.rpartition("/")[2]
    for url in (f"{resource}/events", f"{house.url}/v1/sessions/{session}/events"):
        async with house.http.get(url) as response:
            assert response.content_type == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-store"
            reader = Reader(response)
            assert texts(await reader.until("word")) == ["alpha"]
            assert reader.ids == sorted(set(reader.ids))
    await voice.told("word", text="bravo")  # it offered a data channel too, and is told there


async def test_a_reader_goes_on_after_the_last_event_that_it_saw(house: House, publish: Any) -> None:
    voice, resource, _ = await publish("alpha", "bravo")
    async with house.http.get(f"{resource}/events") as response:
        reader = Reader(response)
        await reader.until("word")
    last = reader.ids[-1]
    await voice.told("word", text="bravo")
    async with house.http.get(f"{resource}/events", headers={"Last-Event-ID": str(last)}) as response:
        events = await Reader(response).until("word")
    assert texts(events) == ["bravo"]
    assert events[0]["seq"] > last


async def test_whoever_comes_late_reads_everything_also_after_the_end(house: House, publish: Any) -> None:
    voice, resource, _ = await publish("alpha")
    await voice.told("word", text="alpha")
    async with house.http.delete(resource) as response:
        assert response.status == 200
    async with house.http.get(f"{resource}/events") as response:
        events = await Reader(response).until("ended")
        assert await asyncio.wait_for(response.content.read(), 2) == b"\n"
    assert texts(events) == ["alpha"]
    assert events[-1]["reason"] == "bye"


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "²"])
async def test_a_last_event_that_is_no_number_is_refused(house: House, publish: Any, number: str) -> None:
    _, resource, _ = await publish("alpha")
    async with house.http.get(f"{resource}/events", headers={"Last-Event-ID": number}) as response:
        assert response.status == 400


async def test_only_so_many_may_read_at_a_time(house: House, publish: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MOST_READERS", 1)
    _, resource, _ = await publish("alpha")
    session = resource.rpartition("/")[2]
    async with house.http.get(f"{resource}/events") as first:
        assert first.status == 200
        async with house.http.get(f"{house.url}/v1/sessions/{session}/events") as second:
            assert (second.status, second.headers["Retry-After"]) == (429, "30")
        await Reader(first).until("word")


async def test_a_reader_that_does_not_read_is_let_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "WRITE_DEADLINE", 0.2)
    _, headers, _ = await post(house, FFMPEG)
    session = headers["Location"].rpartition("/")[2]
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1024)
    writer.write(f"GET /whip/{session}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    connections = house.connections
    for _ in range(800):
        house.switchboard.transcript(session).append(Word("x" * 20_000, 0.0))
    await until(lambda: house.connections < connections)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(2**30), 5)
    writer.close()
    assert house.switchboard.live == 1


async def test_candidates_are_trickled(house: House) -> None:
    voice = Voice(["alpha"], 1.0)
    sdp = await voice.caller.offer()
    lines = [line for line in sdp.splitlines() if line.startswith("a=candidate")]
    bare = re.sub(r"a=(candidate|end-of-candidates).*\r\n", "", sdp)
    async with house.http.post(f"{house.url}/whip", data=bare, headers=SDP) as response:
        await voice.caller.accept(await response.text())
        resource, etag = f"{house.url}{response.headers['Location']}", response.headers["ETag"]
    ufrag = re.findall(r"a=ice-ufrag:.*", sdp)[0].strip()
    useless = "a=candidate:9 1 tcp 1 192.0.2.1 9 typ host tcptype active"
    body = "\r\n".join([ufrag, "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", useless, *lines, "a=end-of-candidates", ""])
    async with house.http.patch(resource, data=body, headers={**FRAGMENT, "If-Match": etag}) as response:
        assert response.status == 204
        assert await response.read() == b""
        assert "ETag" not in response.headers
    await voice.told("word", text="alpha")
    await voice.close()


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (FRAGMENT, "a=end-of-candidates", 428),
        ({**FRAGMENT, "If-Match": '"other"'}, "a=end-of-candidates", 412),
        ({**FRAGMENT, "If-Match": "*"}, "a=ice-ufrag:x\r\na=ice-pwd:y", 422),
        ({**FRAGMENT, "If-Match": '"*"'}, "a=ice-ufrag:x\r\na=ice-pwd:y", 422),
        ({"Content-Type": "text/plain", "If-Match": "ETAG"}, "a=end-of-candidates", 415),
        ({**FRAGMENT, "If-Match": "ETAG"}, "not sdp at all", 400),
        ({**FRAGMENT, "If-Match": "ETAG"}, "", 400),
        ({**FRAGMENT, "If-Match": "ETAG"}, b"\xff\xfe", 400),
        ({**FRAGMENT, "If-Match": "ETAG"}, "a=candidate:1 1 udp 1 999.1.1.1 5 typ host", 204),
        ({**FRAGMENT, "If-Match": "ETAG"}, "a=x:" + "y" * 70_000, 413),
    ],
)
async def test_what_patch_refuses(
    house: House, publish: Any, headers: dict[str, str], body: str | bytes, status: int
) -> None:
    _, resource, told = await publish("alpha")
    sent = {name: told["ETag"] if value == "ETAG" else value for name, value in headers.items()}
    async with house.http.patch(resource, data=body, headers=sent) as response:
        assert response.status == status
    assert house.switchboard.live == 1


async def test_delete_ends_the_call_and_the_resource(house: House, publish: Any) -> None:
    _, resource, _ = await publish("alpha")
    async with house.http.get(resource) as response:
        assert (response.status, await response.read()) == (204, b"")
    async with house.http.delete(resource, headers={"If-Match": '"whatever"'}) as response:
        assert response.status == 200
    await until(lambda: house.switchboard.live == 0 and house.engine.stats().live == 0, within=2.0)
    for method in ("DELETE", "PATCH", "GET"):
        async with house.http.request(method, resource, headers=FRAGMENT) as response:
            assert response.status == 404
            assert (await response.json())["code"] == "unknown_session"


@pytest.mark.parametrize("path", ["/whip/nobody", "/whip/nobody/events", "/v1/sessions/nobody/events"])
async def test_an_unknown_session_is_not_found(house: House, path: str) -> None:
    async with house.http.get(f"{house.url}{path}") as response:
        assert response.status == 404
        assert (await response.json())["code"] == "unknown_session"


async def test_the_endpoint_says_what_it_takes(house: House) -> None:
    async with house.http.options(f"{house.url}/whip") as response:
        assert response.status == 200
        assert response.headers["Accept-Post"] == "application/sdp"
    async with house.http.get(f"{house.url}/whip") as response:
        assert (response.status, await response.read()) == (204, b"")


async def test_stun_and_turn_servers_are_told(open_house: OpenHouse) -> None:
    house = await open_house(ice_servers=("stun:127.0.0.1:9", "turn:127.0.0.1:9 secret=very-secret"))
    async with house.http.post(f"{house.url}/whip", data=CHROME, headers=SDP) as response:
        assert response.status == 201
        links = response.headers.getall("Link")
    assert '<stun:127.0.0.1:9>; rel="ice-server"' in links
    turn = next(link for link in links if link.startswith("<turn:"))
    assert 'credential-type="password"' in turn
    assert "very-secret" not in turn


async def test_keys_are_asked_of_everything_but_preflights(open_house: OpenHouse) -> None:
    house = await open_house(keys=("a-key-of-somebody",))
    for method, path in (("POST", "/whip"), ("PATCH", "/whip/x"), ("DELETE", "/whip/x"), ("GET", "/whip/x/events")):
        async with house.http.request(method, f"{house.url}{path}", data=CHROME, headers=SDP) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
    async with house.http.options(f"{house.url}/whip") as response:
        assert response.status == 200
    status, _, _ = await post(house, CHROME, Authorization="Bearer a-key-of-somebody")
    assert status == 201


# Refusals


def without(pattern: str) -> str:
    return re.sub(pattern, "", CHROME)


@pytest.mark.parametrize(
    ("body", "statuses", "code"),
    [
        ("", {400}, "bad_offer"),
        ("x", {400}, "bad_offer"),
        ("\n" * 10, {400}, "bad_offer"),
        ('{"sdp":"v=0"}', {400}, "bad_offer"),
        ("<!doctype html><html></html>", {400}, "bad_offer"),
        ("v=0\r\n", {400, 422}, "bad_offer"),
        (b"\xff\xfe\x00", {400}, "bad_message"),
        (CHROME[:400], {400, 422}, "bad_offer"),
        (without(r"(?s)m=audio.*(?=m=application)"), {422}, "bad_offer"),
        (CHROME.replace("m=audio", "m=video").replace("opus", "VP8"), {422}, "bad_offer"),
        (without(r"a=fingerprint.*\n"), {422}, "bad_offer"),
        (without(r"a=ice-(ufrag|pwd).*\n"), {400, 422}, "bad_offer"),
        (CHROME.replace("a=sendrecv", "a=recvonly"), {422}, "bad_offer"),
        (CHROME.replace("a=sendrecv", "a=inactive"), {422}, "bad_offer"),
        (FFMPEG.replace("opus/48000/2", "vorbis/48000/2"), {422}, "bad_offer"),
        (FFMPEG + FFMPEG.partition("m=audio")[2].join(["m=audio", ""]), {400, 422}, "bad_offer"),
        (BOTH, {422}, "bad_offer"),
        (CHROME + "a=x:y\r\n" * 10_000, {413}, "too_large"),
    ],
)
async def test_a_bad_offer_is_a_problem_that_says_why_and_nothing_is_left_of_it(
    house: House, body: str | bytes, statuses: set[int], code: str
) -> None:
    health = await house.health()
    before = Footprint()
    async with asyncio.timeout(1):
        status, headers, problem = await post(house, body)
    assert status in statuses
    assert headers["Content-Type"].startswith("application/problem+json")
    assert set(problem) == {"type", "title", "status", "detail", "code"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"]
    assert "Traceback" not in str(problem)
    assert await house.health() == health
    assert Footprint().within(before)


async def test_video_is_refused_unless_it_may_be_discarded(house: House) -> None:
    async with house.http.post(f"{house.url}/whip?video=discard", data=BOTH, headers=SDP) as response:
        assert response.status == 201
        answer = await response.text()
    assert re.search(r"^m=video 0 ", answer, re.MULTILINE)


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/octet-stream"])
async def test_another_type_is_refused(house: House, kind: str) -> None:
    status, _, problem = await post(house, CHROME, **{"Content-Type": kind})
    assert (status, problem["code"]) == (415, "unsupported_media_type")


async def test_a_full_house_says_when_to_come_back(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    assert (await post(house, CHROME))[0] == 201
    status, headers, problem = await post(house, CHROME)
    assert (status, headers["Retry-After"], problem["code"]) == (503, "5", "busy")
    async with house.http.get(f"{house.url}/ready") as response:
        assert response.status == 503
    assert (await house.health())["status"] == "ok"


async def test_too_many_offers_are_refused_for_a_while(open_house: OpenHouse) -> None:
    house = await open_house(trusted_proxies=("127.0.0.1",), offers_per_minute=1)
    far = {"X-Forwarded-For": "198.51.100.9"}
    assert (await post(house, CHROME, **far))[0] == 201
    status, headers, problem = await post(house, CHROME, **far)
    assert (status, problem["code"]) == (429, "too_many_requests")
    assert 1 <= int(headers["Retry-After"]) <= 60


async def test_an_offer_that_never_connects_frees_its_place(open_house: OpenHouse) -> None:
    house = await open_house(connect_timeout=0.3, resume_grace=60.0)
    before = Footprint()
    async with house.http.post(f"{house.url}/whip", data=CHROME, headers=SDP) as response:
        location = response.headers["Location"]
    async with house.http.get(f"{house.url}{location}/events") as response:
        assert (await Reader(response).until("ended"))[-1]["reason"] == "never_connected"
    await until(lambda: house.switchboard.live == 0 and Footprint().within(before, more=1))


async def test_an_offer_that_is_answered_while_the_server_ends_leaves_nothing(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await open_house(ice_servers=("stun:127.0.0.1:9",))  # nobody answers there, so gathering takes a second
    posting = asyncio.create_task(post(house, CHROME))
    await until(lambda: house.switchboard.live == 1)
    draining = asyncio.create_task(house.switchboard.drain())
    status, _, problem = await posting
    assert (status, problem["code"]) == (404, "unknown_session")
    await asyncio.wait_for(draining, 3)
    assert house.engine.stats().live == 0
