"""OpenAI's calls on a running server: WebRTC over one POST, with real connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from media.caller import Caller, Speech
from signaling.errors import BadMessage
from signaling.transports.calls import form_fields
from tests.signaling.house import House, Inbox, OpenHouse, spoken, until
from tests.signaling.openai_clients import COMPLETED, DELTA

SETTINGS = {"type": "realtime", "model": "any", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}


class Browser(Inbox):
    """A peer that speaks, and what it is told on its data channel."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        self.caller = Caller(Speech(spoken(words)), "oai-events")
        self._reading = asyncio.create_task(self._read())

    async def accept(self, response: aiohttp.ClientResponse) -> str:
        """Take the answer; the call's address."""
        assert response.status == 201, await response.text()
        assert response.content_type == "application/sdp"
        await self.caller.accept(await response.text())
        return response.headers["Location"]

    def send(self, type: str, **fields: Any) -> None:
        self.caller.send(json.dumps({"type": type, **fields}))

    async def close(self) -> None:
        await self.caller.close()
        await self._reading

    async def _read(self) -> None:
        async for message in self.caller.messages():
            self.put(json.loads(message))


Make = Callable[..., Browser]


@pytest.fixture
async def browser() -> AsyncIterator[Make]:
    """`browser(*words)`: a peer of the test's own."""
    made: list[Browser] = []

    def make(*words: str) -> Browser:
        made.append(Browser(list(words)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def by_sdp(house: House, sdp: str) -> aiohttp.ClientResponse:
    headers = {"Content-Type": "application/sdp"}
    return await house.http.post(f"{house.url}/v1/realtime/calls", data=sdp, headers=headers)


async def by_form(house: House, sdp: str) -> aiohttp.ClientResponse:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("sdp", sdp, content_type="application/sdp")
    form.add_field("session", json.dumps(SETTINGS), content_type="application/json")
    return await house.http.post(f"{house.url}/v1/realtime/calls", data=form)


async def by_json(house: House, sdp: str) -> aiohttp.ClientResponse:
    return await house.http.post(f"{house.url}/v1/realtime/calls", json={"sdp": sdp, "session": SETTINGS})


async def as_the_beta_had_it(house: House, sdp: str) -> aiohttp.ClientResponse:
    headers = {"Content-Type": "application/sdp", "OpenAI-Beta": "realtime=v1"}
    return await house.http.post(f"{house.url}/v1/realtime?model=gpt-realtime", data=sdp, headers=headers)


@pytest.mark.parametrize(
    ("post", "kind", "detection"),
    [
        (by_sdp, "transcription", "server_vad"),
        (by_form, "realtime", "semantic_vad"),
        (by_json, "realtime", "semantic_vad"),
        (as_the_beta_had_it, "realtime", "server_vad"),
    ],
)
async def test_a_call_begins_in_each_of_the_ways(
    house: House,
    browser: Make,
    post: Callable[[House, str], Awaitable[aiohttp.ClientResponse]],
    kind: str,
    detection: str,
) -> None:
    one = browser("alpha", "bravo")
    async with await post(house, await one.caller.offer()) as response:
        assert (await one.accept(response)).startswith("/v1/realtime/calls/rtc_")
    session = (await one.told("session.created"))["session"]
    assert (session["type"], session["audio"]["input"]["turn_detection"]["type"]) == (kind, detection)
    assert (await one.told(DELTA))["delta"] == "alpha"


async def test_a_call_has_turns_settings_and_a_hang_up(house: House, browser: Make) -> None:
    one = browser("alpha", "bravo")
    async with await by_json(house, await one.caller.offer()) as response:
        location = await one.accept(response)
    completed = await one.told(COMPLETED)
    assert completed["transcript"] == "alpha bravo"
    assert (await one.told("input_audio_buffer.speech_started"))["audio_start_ms"] < 400
    one.send("session.update", session={"type": "transcription"})
    assert (await one.told("session.updated"))["session"]["type"] == "transcription"
    one.send("input_audio_buffer.append", audio="AAAA")
    assert (await one.told("error"))["error"]["code"] == "unsupported_event"
    async with house.http.post(f"{house.url}{location}/hangup") as response:
        assert response.status == 200
    await until(lambda: house.switchboard.live == 0)
    async with house.http.post(f"{house.url}{location}/hangup") as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "unknown_session"


async def test_a_caller_may_commit_in_the_middle_of_a_call(house: House, browser: Make) -> None:
    one = browser("alpha", "bravo", "charlie", "delta")
    async with await by_sdp(house, await one.caller.offer()) as response:
        await one.accept(response)
    await one.told(DELTA)
    one.send("input_audio_buffer.commit")
    await one.told("input_audio_buffer.committed")
    first = await one.told(COMPLETED)
    assert first["transcript"].startswith("alpha")
    await until(lambda: len(one.of(COMPLETED)) == 2)
    assert " ".join(event["transcript"] for event in one.of(COMPLETED)) == "alpha bravo charlie delta"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "param"),
    [
        ("", "application/sdp", 400, None),
        ("v=0", "application/sdp", 400, None),
        ("{}", "application/json", 400, "sdp"),
        ('{"sdp": 7}', "application/json", 400, "sdp"),
        ('{"sdp": "v=0", "session": "all"}', "application/json", 400, "session"),
        ("{", "application/json", 400, None),
        ("nothing", "multipart/form-data; boundary=x", 400, "sdp"),
        (
            '--x\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n--x--',
            "multipart/form-data; boundary=x",
            400,
            None,
        ),
        ("x" * 70_000, "application/sdp", 413, None),
        ("v=0", "text/plain", 415, None),
    ],
)
async def test_what_begins_no_call_is_told_in_openais_shape(
    house: House, body: str, content_type: str, status: int, param: str | None
) -> None:
    headers = {"Content-Type": content_type}
    async with house.http.post(f"{house.url}/v1/realtime/calls", data=body.encode(), headers=headers) as response:
        assert response.status == status
        error = (await response.json())["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert house.switchboard.live == 0


async def test_a_full_house_says_when_to_try_again(open_house: OpenHouse, browser: Make) -> None:
    house = await open_house(capacity=1)
    one, other = browser("alpha"), browser("bravo")
    async with await by_sdp(house, await one.caller.offer()) as response:
        await one.accept(response)
    async with await by_sdp(house, await other.caller.offer()) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert (await response.json())["error"] == {
            "message": "All lines are busy; please try again in a few seconds.",
            "type": "server_error",
            "param": None,
            "code": "busy",
        }


async def test_a_page_of_another_origin_may_ask_with_the_headers_of_openais_sdk(open_house: OpenHouse) -> None:
    house = await open_house(origins=("https://shop.example",))
    async with house.http.options(f"{house.url}/v1/realtime/calls") as response:
        assert response.status == 204
        allowed = response.headers["Access-Control-Allow-Headers"]
    assert {"Authorization", "Content-Type", "X-OpenAI-Agents-SDK"} <= set(allowed.split(", "))


def test_the_lines_of_an_offer_stay_as_they_are_in_a_form() -> None:
    sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n"
    body = (
        f'--x\r\nContent-Disposition: form-data; name="sdp"\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--x--\r\n'
    )
    assert form_fields("multipart/form-data; boundary=x", body) == {"sdp": sdp}


def test_a_form_has_no_form_in_it() -> None:
    with pytest.raises(BadMessage):
        form_fields("multipart/form-data; boundary=x", "--x\r\ncontent-type:multipart/mixed; boundary=y\r\n\r\n--y--")
