"""What becomes of a file once it is here: a session that hears it, its bounds, and what is left of it. The door is
moshi-server's POST."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import psutil
import pytest

from engine.base import BULK_BACKLOG
from engine.errors import Unavailable
from engine.events import Pause, Word, WordEnd
from media.container import About, Decoded, Limits
from media.errors import BadMedia
from signaling.errors import BadFile
from signaling.transports import asr_file
from signaling.transports import upload as uploads
from signaling.transports.recording import FileTransport
from tests.media.files import encoded, long_ogg, of_unknown_length, silent_film, wav
from tests.signaling.house import SOON, House, OpenHouse, until
from tests.signaling.uploads import PATH, Ears, Left, post, speech, spoken, spoken_in_ogg, words

MINUTE = wav(np.zeros(60 * 8_000, np.int16), rate=8_000)
BUSY = (503, "busy", "no free channels", "5")


# Words


async def test_a_file_is_heard_faster_than_it_was_spoken(house: House) -> None:
    said = ["alpha", "bravo", "charlie"] * 10
    status, headers, answer = await post(house, spoken_in_ogg(*said))
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert words(answer) == said
    assert [message["type"] for message in answer] == ["Word", "EndWord"] * 30
    times = [message.get("start_time", message.get("stop_time")) for message in answer]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(30 * 0.56 - 0.24, abs=0.1)
    assert house.figure("offhook_sessions_ended_total", reason="finished") == 1
    assert house.figure("offhook_sessions_opened_total", door="moshi-file") == 1


async def test_all_channels_are_heard(house: House) -> None:
    left, right = speech("alpha", "bravo"), speech("yankee", "zulu")
    stereo = np.concatenate((np.stack((left, left * 0), axis=1), np.stack((right * 0, right), axis=1)), dtype=np.int16)
    _, _, answer = await post(house, wav(stereo, rate=24_000))
    assert words(answer) == ["alpha", "bravo", "yankee", "zulu"]


async def test_the_key_is_shown_as_moshi_servers_clients_show_it(open_house: OpenHouse) -> None:
    house = await open_house(keys=("public_token",))
    assert (await post(house, spoken("alpha"), headers={"kyutai-api-key": "public_token"}))[0] == 200
    assert (await post(house, spoken("alpha"), headers={"kyutai-api-key": "another"}))[0] == 401
    assert (await post(house, spoken("alpha")))[0] == 401


# Bad files

FILES: dict[str, tuple[int, str, Callable[[], bytes]]] = {  # all others: tests/attacks/hostile.py
    "empty": (400, "empty", lambda: b""),
    "HTML": (415, "unknown_format", lambda: b"<!doctype html><title>404</title>" * 50),
    "a film without sound": (422, "no_audio", silent_film),
    "two hours of Ogg": (413, "too_long", lambda: long_ogg(7_200)),
}


@pytest.mark.parametrize(("status", "code", "make"), FILES.values(), ids=FILES)
async def test_a_bad_file_is_refused_and_leaves_nothing(
    house: House, status: int, code: str, make: Callable[[], bytes]
) -> None:
    left = Left(house)
    got, _, problem = await post(house, make())
    assert (got, problem["code"]) == (status, code)
    assert problem["detail"].endswith(".")
    assert (await house.health())["status"] == "ok"
    await left.nothing()


async def test_a_bomb_that_does_not_tell_its_length_is_cut(open_house: OpenHouse) -> None:
    house = await open_house(max_duration=20)
    left = Left(house)
    bomb = of_unknown_length(encoded("flac", "flac", np.zeros(60 * 48_000, np.int16)))
    status, _, problem = await post(house, bomb)
    assert (status, problem["code"]) == (413, "too_long")
    assert problem["detail"] == "The audio is longer than 20 seconds: send it in parts."
    await left.nothing()


async def test_what_was_said_before_a_file_breaks_off_is_told(open_house: OpenHouse) -> None:
    house = await open_house(max_duration=3)
    data = of_unknown_length(encoded("flac", "flac", speech(*["alpha"] * 20, rate=48_000)))
    status, _, answer = await post(house, data)
    assert status == 200
    assert words(answer)[:4] == ["alpha"] * 4
    assert answer[-1] == {"type": "Error", "message": "The audio is longer than 3 seconds: send it in parts."}


TAKEN: dict[str, Callable[[], bytes]] = {
    "8 channels": lambda: wav(np.zeros((40_000, 8), np.int16)),
    "2 channels at 192 kHz": lambda: wav(np.zeros((40_000, 2), np.int16), rate=192_000),
}


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN)
async def test_what_is_odd_is_heard_all_the_same(house: House, make: Callable[[], bytes]) -> None:
    assert (await post(house, make()))[::2] == (200, [])


async def test_a_file_is_what_it_holds_whatever_it_is_said_to_be(house: House) -> None:
    headers = {"Content-Type": "application/pdf"}
    assert words((await post(house, spoken_in_ogg("alpha"), headers=headers))[2]) == ["alpha"]


# The end


@pytest.fixture
def ears() -> Ears:
    return Ears(4)


@pytest.fixture
async def attended(open_house: OpenHouse, ears: Ears) -> House:
    """A server whose engine listens when it is told to; every bound on a caller's time is short."""
    return await open_house(engine=ears, idle_timeout=0.1, speech_timeout=0.1, max_session=0.1)


async def children() -> list[psutil.Process]:
    return await asyncio.to_thread(psutil.Process().children)


async def test_a_client_that_goes_away_ends_it_all(attended: House, ears: Ears) -> None:
    left = Left(attended)
    reader, writer = await asyncio.open_connection("127.0.0.1", attended.port)
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(MINUTE)}\r\n\r\n".encode() + MINUTE)
    stream = await ears.stream()
    assert len(await children()) == 1
    writer.close()
    await left.nothing()
    assert stream.closed
    assert attended.figure("offhook_sessions_ended_total", reason="lost") == 1
    assert await reader.read() == b""


async def test_a_file_is_never_idle_and_may_take_longer_than_a_call(attended: House, ears: Ears) -> None:
    posting = asyncio.create_task(post(attended, spoken("alpha")))
    stream = await ears.stream()
    assert ears.backlogs[0] > BULK_BACKLOG
    await asyncio.wait((posting,), timeout=0.4)
    assert not posting.done()
    stream.going.set()
    assert (await posting)[0] == 200


async def test_an_engine_that_fails_is_told(attended: House, ears: Ears) -> None:
    posting = asyncio.create_task(post(attended, MINUTE))
    (await ears.stream()).die(Unavailable("gone"))
    status, headers, problem = await posting
    assert (status, problem["code"], headers["Retry-After"]) == (503, "engine_down", "5")


async def test_an_engine_that_fails_later_costs_no_words(attended: House, ears: Ears) -> None:
    posting = asyncio.create_task(post(attended, MINUTE))
    stream = await ears.stream()
    stream.outbox.put(Word("hello", 1.0))
    stream.die(Unavailable("gone"))
    status, _, answer = await posting
    assert (status, [message["type"] for message in answer]) == (200, ["Word", "EndWord", "Error"])


async def test_the_servers_end_is_told(attended: House, ears: Ears) -> None:
    left = Left(attended)
    posting = asyncio.create_task(post(attended, MINUTE))
    stream = await ears.stream()
    await attended.switchboard.drain()
    assert "finish" in stream.given
    status, headers, problem = await posting
    assert (status, problem["code"], headers["Retry-After"]) == (503, "draining", "5")
    await left.nothing()


# Who goes first


def refusal(answer: tuple[int, Any, Any]) -> tuple[int, str, str, str]:
    status, headers, problem = answer
    return status, problem["code"], problem["title"], headers.get("Retry-After", "")


async def test_files_take_no_more_than_half_of_the_places(attended: House, ears: Ears) -> None:
    posting = [asyncio.create_task(post(attended, spoken("alpha"))) for _ in range(3)]
    streams = [await ears.stream(number) for number in range(2)]
    await asyncio.wait(posting, timeout=0.1)
    assert len(ears.streams) == 2
    streams[0].going.set()
    (await ears.stream(2)).going.set()  # it has waited for its turn
    streams[1].going.set()
    assert [status for status, _, _ in await asyncio.gather(*posting)] == [200, 200, 200]


async def test_a_file_waits_so_long_and_no_longer(open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "WAIT", 0.2)
    ears = Ears(2)
    house = await open_house(engine=ears)
    posting = asyncio.create_task(post(house, spoken("alpha")))
    stream = await ears.stream()
    assert refusal(await post(house, spoken("alpha"))) == BUSY
    stream.going.set()
    assert (await posting)[0] == 200


async def test_one_key_does_not_take_all_the_room_that_there_is_for_files(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_OF_ONE", 2)
    ears = Ears(2)
    house = await open_house(engine=ears, keys=("shop:a-good-key", "other:another-key"))
    key, other = {"Authorization": "Bearer a-good-key"}, {"Authorization": "Bearer another-key"}
    posting = [asyncio.create_task(post(house, spoken("alpha"), headers=key)) for _ in range(3)]
    done, posting_still = await asyncio.wait(posting, timeout=SOON, return_when=asyncio.FIRST_COMPLETED)
    [(status, headers, problem)] = [task.result() for task in done]
    assert (status, problem["code"], headers["Retry-After"]) == (429, "too_many_requests", "5")
    posting_still.add(asyncio.create_task(post(house, spoken("alpha"), headers=other)))
    for number in range(3):
        (await ears.stream(number)).going.set()
    assert [status for status, _, _ in await asyncio.gather(*posting_still)] == [200, 200, 200]


async def test_who_goes_away_while_the_file_is_opened_keeps_no_turn(
    attended: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, ended = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def slow(*_: Any) -> AsyncIterator[Decoded]:
        opening.set()
        try:
            await asyncio.Event().wait()
            yield Piece()
        finally:
            ended.set()

    monkeypatch.setattr(uploads, "decoded", slow)
    _, writer = await asyncio.open_connection("127.0.0.1", attended.port)
    data = spoken("alpha")
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    async with asyncio.timeout(SOON):
        await opening.wait()
        writer.close()
        await ended.wait()


async def test_who_waits_for_a_turn_may_go_away(attended: House, ears: Ears) -> None:
    posting = [asyncio.create_task(post(attended, spoken("alpha"))) for _ in range(2)]
    for number in range(2):
        (await ears.stream(number)).going.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", attended.port)
    data = spoken("alpha")
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    await until(lambda: attended.connections == 3)
    writer.close()
    await until(lambda: attended.connections == 2)
    for stream in ears.streams:
        stream.going.set()
    await asyncio.gather(*posting)
    assert len(ears.streams) == 2


async def test_a_full_house_refuses_a_file_unread(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    await house.call()
    async with house.http.post(house.url + PATH, data=MINUTE, headers={"Expect": "100-continue"}) as response:
        assert refusal((response.status, response.headers, await response.json())) == BUSY


async def test_where_callers_wait_in_line_files_do_too(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1, queue_wait=SOON)
    browser, _ = await house.call()
    posting = asyncio.create_task(post(house, spoken("alpha")))
    await until(lambda: house.switchboard.waiting == 1)
    await browser.send(type="bye")
    assert words((await posting)[2]) == ["alpha"]


async def test_a_key_may_send_so_many_files_a_minute(open_house: OpenHouse) -> None:
    house = await open_house(files_per_minute=2, keys=("shop:a-good-key", "other:another-key"))
    key, other = {"Authorization": "Bearer a-good-key"}, {"Authorization": "Bearer another-key"}
    for _ in range(2):
        assert (await post(house, spoken("alpha"), headers=key))[0] == 200
    status, headers, problem = await post(house, spoken("alpha"), headers=key)
    assert (status, problem["code"]) == (429, "too_many_requests")
    assert 0 < int(headers["Retry-After"]) <= 30
    assert (await post(house, spoken("alpha"), headers=other))[0] == 200


# The transport


class Piece(Decoded):
    """The audio of a file, as a test has it."""

    def __init__(self, *pieces: Any) -> None:
        self.about = About("wav", "pcm_s16le", 24_000, 1, 2.0)
        self.damaged = 0
        self._pieces = list(pieces)

    async def __anext__(self) -> Any:
        if not self._pieces:
            raise StopAsyncIteration
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece


async def test_a_file_ends_with_finish_whatever_becomes_of_it() -> None:
    second = np.zeros(24_000, np.float32)
    for pieces in ((second, second), (second, second, BadMedia("too_long", "Too long."))):
        transport = FileTransport(Piece(*pieces))
        items = [item async for item in transport.items()]
        assert [getattr(item, "start", None) for item in items] == [0.0, 1.0, None]
        assert transport.figures["decoded_seconds"] == 2.0
    assert isinstance(transport.fault, BadFile)
    assert transport.fault.code == "too_long"


async def test_how_far_it_is_can_be_told(attended: House, ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float, float | None]] = []

    async def watched(upload: uploads.Upload) -> str:
        async for _ in upload.events():
            seen.append((upload.decoded, upload.heard, upload.about.duration))
        seen.append((upload.decoded, upload.heard, upload.about.duration))
        return "[]"

    monkeypatch.setattr(asr_file, "transcript", watched)
    posting = asyncio.create_task(post(attended, wav(np.zeros(36_000, np.int16), rate=24_000)))
    stream = await ears.stream()
    for event in (Word("hello", 0.25), Pause(1.0), WordEnd(0.5)):
        stream.outbox.put(event)
    await until(lambda: len(seen) == 3)
    stream.going.set()
    assert (await posting)[0] == 200
    assert seen == [(0.0, 0.25, 1.5), (0.0, 1.0, 1.5), (0.0, 1.0, 1.5), (1.5, 1.5, 1.5)]


def test_who_allows_longer_files_allows_more_time_to_decode_them() -> None:
    assert uploads._limits(60.0) == Limits(seconds=60.0)
    assert uploads._limits(36_000.0) == Limits(seconds=36_000.0, cpu=600, wait=1_200.0)
