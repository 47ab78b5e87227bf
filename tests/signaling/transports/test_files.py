"""Transcodio's doors for files: a whole server, and its clients' requests."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import aiohttp
import numpy as np
import psutil
import pytest

from engine.errors import Unavailable
from engine.events import Pause, Word
from signaling.eventlog import EventLog
from signaling.transports import listener, mouth
from signaling.transports.files import PATH, STREAM_PATH
from tests.media.files import encoded, of_unknown_length, silent_film, wav
from tests.signaling.house import SOON, House, OpenHouse, until
from tests.signaling.uploads import Ears, Left, form, speech, spoken, spoken_in_ogg

MINUTE = wav(np.zeros(60 * 8_000, np.int16), rate=8_000)
Told = tuple[str, dict[str, Any]]


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[Told]:
    """A stream as Transcodio's page reads it; a comment is an event without a name."""
    name = ""
    async for line in response.content:
        assert line.endswith(b"\r\n")
        kind, _, rest = line.decode().strip().partition(": ")
        if kind == "event":
            name = rest
        elif kind == "data":
            yield name, json.loads(rest)
        elif line.startswith(b":"):
            yield "", {"comment": line}


async def stream(house: House, data: Any, headers: Mapping[str, str] | None = None) -> list[Told]:
    """All that is told of a file."""
    async with house.http.post(house.url + STREAM_PATH, data=data, headers=headers) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        return [told async for told in events(response)]


async def whole(house: House, data: Any, path: str = PATH, **options: Any) -> tuple[int, Any]:
    async with house.http.post(house.url + path, data=data, **options) as response:
        return response.status, await response.json()


def of(told: list[Told], name: str) -> list[dict[str, Any]]:
    return [fields for kind, fields in told if kind == name]


@pytest.fixture
async def tidy(open_house: OpenHouse) -> House:
    """A server that keeps no recordings, so that nothing is left of a file."""
    return await open_house(kept_files=0)


# Words


async def test_a_file_is_told_segment_by_segment(house: House) -> None:
    said = ["alpha", "bravo", "charlie"] * 12
    told = await stream(house, form(spoken_in_ogg(*said)))
    assert [name for name, _ in told if name != "heard"] == ["metadata", "progress", "progress", "complete"]
    seconds = len(said) * 0.56
    [metadata], progress, [complete] = of(told, "metadata"), of(told, "progress"), of(told, "complete")
    assert metadata == {"language": "en", "duration": pytest.approx(seconds, abs=0.1)}
    assert [segment["id"] for segment in progress] == [0, 1]
    assert " ".join(segment["text"] for segment in progress) == complete["text"] == " ".join(said)
    assert [word["word"] for segment in progress for word in segment["words"]] == said
    assert progress[0]["start"] == progress[0]["words"][0]["start"]
    assert progress[0]["end"] == progress[0]["words"][-1]["end"] <= progress[1]["start"]
    assert complete["duration"] == pytest.approx(seconds, abs=0.1)
    assert complete["audio_url"] == f"/api/audio/{complete['audio_session_id']}"
    assert house.figure("offhook_sessions_opened_total", door="file") == 1


async def test_who_does_not_stream_is_answered_once(tidy: House) -> None:
    left = Left(tidy)
    status, answer = await whole(tidy, form(spoken("alpha", "bravo")))
    assert status == 200
    assert list(answer) == ["text", "language", "segments", "duration", "words"]
    [segment], words = answer["segments"], answer["words"]
    assert segment == {
        "id": 0,
        "text": "alpha bravo",
        "speaker": None,
        "start": words[0]["start"],
        "end": words[1]["end"],
    }
    assert (answer["text"], answer["language"]) == ("alpha bravo", "en")
    assert answer["duration"] == pytest.approx(1.12, abs=0.01)
    assert [word["word"] for word in words] == ["alpha", "bravo"]
    await left.nothing()


async def test_silence_is_complete_too(house: House) -> None:
    told = await stream(house, form(MINUTE))
    [complete] = of(told, "complete")
    assert (complete["text"], complete["duration"]) == ("", 60.0)
    status, answer = await whole(house, form(MINUTE))
    assert (status, answer["segments"]) == (200, [])


async def test_a_file_may_be_the_body_itself(house: House) -> None:
    assert (await whole(house, spoken("alpha")))[1]["text"] == "alpha"


async def test_what_is_not_offered_here_is_said(tidy: House) -> None:
    data = form(spoken("alpha"), enable_diarization="true", enable_minutes="true")
    told = await stream(tidy, data)
    names = [name for name, _ in told if name != "heard"]
    assert names == ["metadata", "warning", "progress", "complete", "minutes_error"]
    assert of(told, "warning")[0]["option"] == "enable_diarization"
    _, answer = await whole(tidy, form(spoken("alpha"), enable_diarization="true", enable_minutes="false"))
    assert len(answer["warnings"]) == 1


# Progress


@pytest.fixture
def ears() -> Ears:
    return Ears(4)


@pytest.fixture
async def attended(open_house: OpenHouse, ears: Ears) -> House:
    """A server whose engine listens when it is told to."""
    return await open_house(engine=ears, kept_files=0)


async def next_of(told: AsyncIterator[Told], name: str) -> dict[str, Any]:
    async with asyncio.timeout(SOON):
        async for kind, fields in told:
            if kind == name:
                return fields
    raise AssertionError(f"the stream ended before {name}")


async def test_how_far_it_is_is_told_before_a_segment_is_complete(attended: House, ears: Ears) -> None:
    async with attended.http.post(attended.url + STREAM_PATH, data=form(MINUTE)) as response:
        assert response.headers["X-Accel-Buffering"] == "no"
        told = events(response)
        assert await next_of(told, "metadata") == {"language": "en", "duration": 60.0}
        engine = await ears.stream()
        engine.outbox.put(Word("hello", 12.5))
        assert await next_of(told, "heard") == {"seconds": 12.5, "duration": 60.0}
        engine.outbox.put(Pause(13.0))
        assert (await next_of(told, "progress"))["text"] == "hello"
        assert await next_of(told, "heard") == {"seconds": 13.0, "duration": 60.0}
        engine.going.set()
        assert (await next_of(told, "complete"))["duration"] == 60.0


async def test_a_length_that_a_file_does_not_tell_is_told_at_the_end(house: House) -> None:
    data = of_unknown_length(encoded("flac", "flac", speech("alpha", "bravo", rate=48_000)))
    told = await stream(house, form(data))
    assert of(told, "metadata") == [{"language": "en", "duration": None}]
    assert of(told, "complete")[0]["duration"] == pytest.approx(1.12, abs=0.01)


async def test_a_sign_of_life_comes_while_nothing_does(
    attended: House, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mouth, "KEEP_ALIVE", 0.2)
    async with attended.http.post(attended.url + STREAM_PATH, data=form(MINUTE)) as response:
        told = events(response)
        for _ in range(2):
            assert await next_of(told, "") == {"comment": b": ping\r\n"}
        (await ears.stream()).going.set()
        await next_of(told, "complete")


# What goes wrong


async def test_what_is_refused_beforehand_is_refused_with_a_status(tidy: House) -> None:
    left = Left(tidy)
    for path in (PATH, STREAM_PATH):
        assert (await whole(tidy, form(silent_film()), path))[0] == 422
        assert (await whole(tidy, form(b"<html>"), path))[0] == 415
        other = aiohttp.FormData(default_to_multipart=True)
        other.add_field("sound", "beep")
        status, problem = await whole(tidy, other, path)
        assert (status, problem["detail"]) == (400, 'The form has no part "file": send the file as that.')
    await left.nothing()


async def test_what_breaks_off_later_is_told_after_its_words(open_house: OpenHouse) -> None:
    house = await open_house(max_duration=3)
    data = of_unknown_length(encoded("flac", "flac", speech(*["alpha"] * 20, rate=48_000)))
    told = await stream(house, form(data))
    assert [name for name, _ in told if name != "heard"] == ["metadata", "progress", "error"]
    assert of(told, "progress")[0]["text"].startswith("alpha alpha alpha alpha")
    assert of(told, "error") == [{"error": "The audio is longer than 3 seconds: send it in parts.", "code": "too_long"}]
    assert house.figure("offhook_refused_total", code="too_long") == 1
    status, problem = await whole(house, form(data))
    assert (status, problem["code"]) == (413, "too_long")  # half a transcript must not pass for a whole one


async def test_an_engine_that_fails_is_told(attended: House, ears: Ears) -> None:
    async with attended.http.post(attended.url + STREAM_PATH, data=form(MINUTE)) as response:
        (await ears.stream()).die(Unavailable("gone"))
        told = [told async for told in events(response)]
    assert of(told, "error")[0]["code"] == "engine_down"
    assert of(told, "complete") == []


async def test_the_servers_end_is_told(attended: House, ears: Ears) -> None:
    async with attended.http.post(attended.url + STREAM_PATH, data=form(MINUTE)) as response:
        await ears.stream()
        await attended.switchboard.drain()
        assert of([told async for told in events(response)], "error")[0]["code"] == "draining"


async def test_a_client_that_goes_away_ends_it_all(attended: House, ears: Ears) -> None:
    left = Left(attended)
    async with aiohttp.ClientSession() as client, client.post(attended.url + STREAM_PATH, data=form(MINUTE)) as answer:
        await next_of(events(answer), "metadata")
        engine = await ears.stream()
    await left.nothing()
    assert engine.closed
    assert attended.figure("offhook_sessions_ended_total", reason="lost") == 1


async def test_a_client_that_takes_nothing_is_let_go(
    attended: House, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "WRITE_DEADLINE", 0.2)
    left = Left(attended)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.connect(("127.0.0.1", attended.port))
    head = f"POST {STREAM_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(MINUTE)}\r\n\r\n"
    await asyncio.to_thread(deaf.sendall, head.encode() + MINUTE)
    engine = await ears.stream()
    for number in range(10):
        engine.outbox.put(Word("word" * 100_000, float(number)))
        engine.outbox.put(Pause(number + 0.5))
    await until(lambda: attended.figure("offhook_listeners_let_go_total") == 1)
    deaf.close()
    await left.nothing()
    assert engine.closed


def is_logged(log: EventLog, events: int) -> bool:
    return log.seq >= events


async def test_a_client_may_be_behind_its_file(attended: House, ears: Ears) -> None:
    """By more than a listener may: what is told of a file comes faster than anybody reads, and has an end."""
    async with attended.http.post(attended.url + STREAM_PATH, data=form(MINUTE)) as response:
        engine = await ears.stream()
        [call] = attended.switchboard.calls()
        for batch in range(30):
            for number in range(100):
                engine.outbox.put(Word("word" * 500, batch * 2.0 + number / 50))
            await until(partial(is_logged, call.session.log, 100 * (batch + 1)))
        engine.going.set()
        await until(lambda: psutil.Process().children() == [])  # all is done, but for what is to be read
        text = await response.text()
    assert json.loads(text.rpartition("data: ")[2])["text"].count(" ") == 2_999


# Who


async def test_the_key_is_shown_as_transcodios_clients_show_it(open_house: OpenHouse) -> None:
    house = await open_house(keys=("a-good-key",))
    for path in (PATH, STREAM_PATH):
        status, problem = await whole(house, form(spoken("alpha")), path)
        assert (status, problem["code"]) == (401, "unauthorized")
        assert (await whole(house, form(spoken("alpha")), path, headers={"X-API-Key": "another"}))[0] == 401
    headers = {"X-API-Key": "a-good-key"}
    assert (await whole(house, form(spoken("alpha")), headers=headers))[0] == 200
    assert of(await stream(house, form(spoken("alpha")), headers), "complete")[0]["text"] == "alpha"


async def test_too_many_files_are_refused_with_the_seconds_to_wait(open_house: OpenHouse) -> None:
    house = await open_house(files_per_minute=1)
    await stream(house, form(spoken("alpha")))
    async with house.http.post(house.url + STREAM_PATH, data=form(spoken("alpha"))) as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) > 0
        assert (await response.json())["detail"] == "Too many files from this key or address."
