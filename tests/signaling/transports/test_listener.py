"""Those who only listen, over real HTTP: server-sent events and live captions of a call."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from engine.events import Pause, Word, WordEnd
from signaling.eventlog import EventLog
from signaling.transports import listener
from tests.media.offers import CHROME
from tests.signaling.house import House, OpenHouse, until

KEY = "sk-the-key-of-a-shop"
CALL = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot")
SDP = {"Content-Type": "application/sdp"}
BEARER = {"Authorization": f"Bearer {KEY}"}


class Events:
    """What an EventSource has seen: its events, and where it would go on."""

    def __init__(self, house: House, session: str, token: str = "") -> None:
        self._house = house
        self._url = f"{house.url}/v1/sessions/{session}/events"
        self._token = token
        self.events: list[dict[str, Any]] = []
        self.last = ""

    async def read(self, until: str = "ended", query: str = "") -> None:
        """Connect as an EventSource does, and read up to the first event of this type."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if self.last and not query:
            headers["Last-Event-ID"] = self.last
        async with asyncio.timeout(10), self._house.http.get(f"{self._url}{query}", headers=headers) as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            async for type in self._received(response):
                if type == until:
                    return
        raise AssertionError(f"the transcript ended before {until}")

    async def _received(self, response: aiohttp.ClientResponse) -> AsyncIterator[str]:
        async for line in response.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last = value
            elif name == "data":
                self.events.append(json.loads(value))
                yield self.events[-1]["type"]

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.events]

    @property
    def words(self) -> list[str]:
        return [event["text"] for event in self.events if event["type"] == "word"]


async def captions(house: House, session: str, token: str = "") -> str:
    """The whole file, as it was at the end."""
    url, headers = f"{house.url}/v1/sessions/{session}/captions.vtt", {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(10), house.http.get(url, headers=headers if token else {}) as response:
        assert (response.status, response.content_type, response.charset) == (200, "text/vtt", "utf-8")
        return await response.text()


def cues(file: str) -> list[tuple[str, str]]:
    """The cues of a WebVTT file, each with its timing line and its text; comments are left out."""
    opening, *blocks = file.rstrip("\n").split("\n\n")
    assert opening == "WEBVTT"
    parts = (block.partition("\n") for block in blocks if not block.startswith("NOTE"))
    return [(timing, text.replace("\n", " ")) for timing, _, text in parts]


async def begun(house: House) -> tuple[str, EventLog]:
    """A session that nobody speaks in; its id and its log."""
    async with house.http.post(f"{house.url}/whip", data=CHROME, headers=SDP) as response:
        session = response.headers["Location"].rpartition("/")[2]
    return session, house.switchboard.transcript(session)


@contextlib.asynccontextmanager
async def deaf(house: House, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """A reader that asks for this and then reads no further than the header."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", house.port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1_024)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader
    finally:
        writer.close()


def shout(transcript: EventLog) -> None:
    """More than the buffers on the way hold, and not much more: a caller is told all of it too, before its own next
    word."""
    for number in range(20):
        transcript.append(Word("x" * 20_000, float(number)))


async def test_three_listeners_follow_one_call_and_one_comes_back_in_the_middle(open_house: OpenHouse) -> None:
    house = await open_house(keys=(KEY,))
    browser = await house.dial(headers=BEARER)
    session = (await browser.told("ready"))["session"]
    voice = await browser.speak(CALL)
    async with house.http.post(f"{house.url}/v1/tokens", headers=BEARER, json={"view": session}) as response:
        token = (await response.json())["token"]
    steady, returning = Events(house, session, token), Events(house, session, token)
    reading, watching = asyncio.create_task(steady.read()), asyncio.create_task(captions(house, session, token))
    await returning.read(until="word")
    assert len(returning.words) == 1
    await voice.told("word", text="charlie")
    coming_back = asyncio.create_task(returning.read())
    await voice.told("word", text=CALL[-1])
    await browser.send(type="bye")
    await asyncio.gather(reading, coming_back)
    assert steady.words == returning.words == list(CALL)
    assert returning.seqs == sorted(set(returning.seqs))
    settled = [event for event in steady.events if event["type"] in ("word", "word_end", "pause", "ended")]
    assert all(event in returning.events for event in settled)
    shown = cues(await watching)
    assert " ".join(text for _, text in shown).split() == list(CALL)
    assert shown == cues(await captions(house, session, token))  # and after the end it is the same file at once


async def test_captions_are_written_as_each_cue_is_complete(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "KEEP_ALIVE", 0.05)
    session, transcript = await begun(house)
    transcript.append(Word("before", 1.0))
    url = f"{house.url}/v1/sessions/{session}/captions.vtt"
    async with asyncio.timeout(10), house.http.get(url) as response:
        assert await response.content.readuntil(b"\n\n") == b"WEBVTT\n\n"
        assert await response.content.readuntil(b"\n\n") == b"NOTE still here\n\n"
        transcript.append(WordEnd(2.0))
        transcript.append(Pause(2.0))
        while (block := await response.content.readuntil(b"\n\n")).startswith(b"NOTE"):
            pass
        assert block == b"00:00:01.000 --> 00:00:02.000\nbefore\n\n"
        transcript.append(Word("last", 3.0))
        transcript.end()
        rest = (await response.content.read()).decode()
    assert rest.endswith("00:00:03.000 --> 00:00:03.700\nlast\n\n")


async def test_a_new_event_source_says_in_the_address_where_it_goes_on(house: House) -> None:
    session, transcript = await begun(house)
    for number in range(5):
        transcript.append(Word("x", float(number)))
    transcript.end()
    reader = Events(house, session)
    with pytest.raises(AssertionError, match="ended before"):
        await reader.read(query="?last_event_id=3")
    assert reader.seqs == [4, 5]


async def test_who_has_seen_the_end_is_told_not_to_come_back(house: House) -> None:
    session, transcript = await begun(house)
    transcript.append(Word("x", 0.0))
    url, headers = f"{house.url}/v1/sessions/{session}/events", {"Last-Event-ID": "1"}
    transcript.end()
    async with house.http.get(url, headers=headers) as response:
        assert response.status == 204


@pytest.mark.parametrize("path", ["events", "captions.vtt"])
async def test_a_listener_that_stops_reading_is_let_go_and_the_call_goes_on(
    house: House, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "WRITE_DEADLINE", 0.2)
    monkeypatch.setattr(listener, "GOODBYE", 0.2)
    caplog.set_level(logging.INFO)
    browser, voice = await house.call(*CALL[:3])
    session = (await browser.told("ready"))["session"]
    transcript = house.switchboard.transcript(session)
    async with deaf(house, f"/v1/sessions/{session}/{path}"):
        shout(transcript)
        await until(lambda: house.figure("offhook_listeners_let_go_total") == 1)
        await until(lambda: "let go of a listener" in caplog.text)
        assert session not in caplog.text
        await voice.told("word", text=CALL[2])
    follower = Events(house, session)
    await follower.read(until="word")  # the place of the one that was let go is free, and nobody else noticed
    assert house.switchboard.live == 1


async def test_a_listener_that_reads_again_in_time_learns_why_it_was_let_go(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "WRITE_DEADLINE", 0.2)
    monkeypatch.setattr(listener, "GOODBYE", 5.0)  # in time, however busy the machine is
    session, transcript = await begun(house)
    async with deaf(house, f"/v1/sessions/{session}/events") as reader:
        shout(transcript)
        await until(lambda: house.figure("offhook_listeners_let_go_total") == 1)
        read = await asyncio.wait_for(reader.read(-1), 5)
    assert b'data: {"type":"error","code":"slow_reader"' in read[-300:]


async def test_listeners_are_bounded_over_all_sessions(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MOST_IN_ALL", 1)
    (first, _), (second, _) = await begun(house), await begun(house)
    async with house.http.get(f"{house.url}/v1/sessions/{first}/captions.vtt") as response:
        assert response.status == 200
        async with house.http.get(f"{house.url}/v1/sessions/{second}/events") as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (429, "30")


@pytest.mark.parametrize("path", ["events", "captions.vtt"])
async def test_a_listener_that_goes_makes_room_at_once(
    house: House, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MOST_READERS", 1)
    session, _ = await begun(house)
    url = f"{house.url}/v1/sessions/{session}/{path}"
    for _ in range(3):
        async with deaf(house, f"/v1/sessions/{session}/{path}"), house.http.get(url) as refused:
            assert refused.status == 429
        await until(lambda: house.connections == 1)  # that of the requests which are not deaf


@pytest.mark.parametrize("path", ["events", "captions.vtt"])
async def test_what_is_no_session_is_followed_by_nobody(open_house: OpenHouse, path: str) -> None:
    house = await open_house(keys=(KEY,))
    for headers, status in ((BEARER, 404), ({}, 401)):
        async with house.http.get(f"{house.url}/v1/sessions/nobody/{path}", headers=headers) as response:
            assert (response.status, response.content_type) == (status, "application/problem+json")
