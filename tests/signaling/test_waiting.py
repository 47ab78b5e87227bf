"""Callers who wait for a place, at a real server: told where they stand, served in turn, gone without a trace."""

import asyncio
import socket
from typing import Any

import msgpack
import pytest

from engine.errors import Full
from tests.media.offers import CHROME
from tests.signaling.house import Browser, Footprint, House, OpenHouse, until

SDP = {"Content-Type": "application/sdp"}


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    """A server with one place, which is taken, where callers may wait."""
    house = await open_house(capacity=1, queue_wait=20.0, queue_length=3)
    async with house.http.post(f"{house.url}/whip", data=CHROME, headers=SDP) as response:
        assert response.status == 201
    return house


async def free(house: House) -> None:
    """End the session that lives."""
    house.switchboard.calls()[0].session.end("bye")


async def offer(house: House, **options: Any) -> Browser:
    """A browser that has offered and waits in line."""
    browser = await house.dial(**options)
    await browser.told("ready")
    await browser.send(type="offer", sdp=await browser.voice(("alpha",)).caller.offer())
    await browser.told("queued")
    return browser


def post(house: House, **headers: str) -> "asyncio.Task[int]":
    """An offer by WHIP, which is answered when there is a place."""

    async def sent() -> int:
        async with house.http.post(f"{house.url}/whip", data=CHROME, headers={**SDP, **headers}) as response:
            return response.status

    return asyncio.create_task(sent())


async def test_a_browser_is_told_where_it_stands_and_then_answered(house: House) -> None:
    first = await offer(house)
    second = await offer(house)
    assert first.of("queued") == [{"type": "queued", "position": 1, "wait": 20.0}]
    assert [event["position"] for event in second.of("queued")] == [2]
    assert (await house.health())["waiting"] == 2
    assert house.figure("offhook_queue_length") == 2
    await free(house)
    await first.accept(first.voices[0])
    await second.told("queued", position=1)
    voice = first.voices[0]
    assert (await voice.told("word"))["text"] == "alpha"
    await first.send(type="bye")
    await second.accept(second.voices[0])
    await second.voices[0].told("ready")
    assert house.figure("offhook_queue_total", outcome="served") == 2
    assert house.figure("offhook_queue_length") == 0


async def test_candidates_that_come_while_their_caller_waits_are_used(house: House) -> None:
    browser = await house.dial()
    await browser.told("ready")
    voice = browser.voice(("alpha",))
    sdp = await voice.caller.offer()
    lines = sdp.split("\r\n")
    await browser.send(type="offer", sdp="\r\n".join(line for line in lines if not line.startswith("a=candidate")))
    await browser.told("queued")
    for line in lines:
        if line.startswith("a=candidate"):
            await browser.send(type="candidate", candidate={"candidate": line[2:], "sdpMid": "0"})
    for unusable in ({"candidate": "x" * 5_000}, {"candidate": 7}):
        await browser.send(type="candidate", candidate=unusable)
    await browser.told("error", code="bad_candidate")
    await free(house)
    await voice.caller.accept((await browser.told("answer"))["sdp"])
    await voice.told("ready")
    assert [error["code"] for error in browser.of("error")] == ["bad_candidate", "bad_candidate"]


@pytest.mark.parametrize("how", ["bye", "close", "lose"])
async def test_a_browser_that_goes_leaves_the_line(house: House, how: str) -> None:
    first, second = await offer(house), await offer(house)
    if how == "bye":
        await first.send(type="bye")
    elif how == "close":
        await first.socket.close()
    else:
        first.lose()
    await second.told("queued", position=1)
    assert house.switchboard.waiting == 1
    assert house.switchboard.live == 1


async def test_a_poster_that_goes_leaves_the_line(house: House) -> None:
    before = Footprint()
    with socket.create_connection(("127.0.0.1", house.port)) as poster:
        head = (
            f"POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: {len(CHROME)}"
        )
        poster.sendall(f"{head}\r\n\r\n{CHROME}".encode())
        await until(lambda: house.switchboard.waiting == 1)
    await until(lambda: house.switchboard.waiting == 0)
    await until(lambda: Footprint().within(before))
    assert house.figure("offhook_queue_total", outcome="left") == 1


async def test_a_poster_waits_for_its_answer(house: House) -> None:
    waiting = post(house)
    await until(lambda: house.switchboard.waiting == 1)
    await free(house)
    assert await waiting == 201


async def test_who_has_waited_in_vain_is_told_when_to_come_back(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1, queue_wait=0.1)
    assert await post(house) == 201
    async with house.http.post(f"{house.url}/whip", data=CHROME, headers=SDP) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert (await response.json())["code"] == "busy"
    browser = await house.dial()
    await browser.told("ready")
    await browser.send(type="offer", sdp=CHROME)
    assert (await browser.told("error"))["code"] == "busy"
    assert await browser.closed() == 1013
    assert house.figure("offhook_queue_total", outcome="expired") == 2
    assert house.figure("offhook_refused_total", code="busy") == 2


async def test_places_are_not_called_free_while_somebody_waits_for_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = post(house)
    await until(lambda: house.switchboard.waiting == 1)
    stats = house.engine.stats()
    monkeypatch.setattr(house.engine, "stats", lambda: type(stats)("ready", 5, 1))
    assert ((await house.health())["free"], (await house.health())["waiting"]) == (0, 1)
    async with house.http.get(f"{house.url}/ready") as response:
        assert response.status == 503
    waiting.cancel()
    await until(lambda: house.switchboard.waiting == 0)
    assert (await house.health())["free"] == 4


async def test_a_socket_is_greeted_once_there_is_a_place(house: House) -> None:
    async def greeting() -> Any:
        async with house.http.ws_connect(f"{house.url}/api/asr-streaming") as socket:
            return msgpack.unpackb(await socket.receive_bytes())

    waiting = asyncio.create_task(greeting())
    await until(lambda: house.switchboard.waiting == 1)
    await free(house)
    assert (await waiting)["type"] == "Ready"


async def test_a_socket_that_is_cut_leaves_the_line(house: House) -> None:
    gone = await house.http.ws_connect(f"{house.url}/v1/stream")
    await until(lambda: house.switchboard.waiting == 1)
    Browser(gone).lose()
    await until(lambda: house.switchboard.waiting == 0)


async def test_keys_take_turns(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1, queue_wait=20.0, keys=("shop:the-key-of-a-shop", "bank:the-key-of-a-bank"))
    shop, bank = ({"Authorization": f"Bearer the-key-of-a-{whose}"} for whose in ("shop", "bank"))
    assert await post(house, **shop) == 201
    posts: list[asyncio.Task[int]] = []
    for headers in (shop, shop, shop, bank):
        posts.append(post(house, **headers))
        await until(lambda: house.switchboard.waiting == len(posts))
    order: list[int] = []
    while len(order) < len(posts):
        await free(house)
        await until(lambda: sum(each.done() for each in posts) == len(order) + 1)
        order.extend(number for number, each in enumerate(posts) if each.done() and number not in order)
    assert order == [0, 3, 1, 2]


async def test_at_the_end_of_the_server_the_line_is_told(house: House) -> None:
    browser, waiting = await offer(house), post(house)
    await until(lambda: house.switchboard.waiting == 2)
    draining = asyncio.create_task(house.switchboard.drain())
    assert await waiting == 503
    assert (await browser.told("error"))["code"] == "draining"
    await free(house)
    await asyncio.wait_for(draining, 5)


async def test_who_is_refused_while_the_server_ends_does_not_begin_to_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def hesitate(**_: Any) -> None:
        asked.set()
        await answer.wait()
        raise Full

    monkeypatch.setattr(house.switchboard.engine, "open", hesitate)
    caller = post(house)
    await asyncio.wait_for(asked.wait(), 5)
    draining = asyncio.create_task(house.switchboard.drain())
    await until(lambda: house.switchboard.draining)
    answer.set()
    assert await asyncio.wait_for(caller, 5) == 503
    await asyncio.wait_for(draining, 5)


async def test_one_browser_that_offers_again_while_it_waits_gets_one_place(house: House) -> None:
    browser = await offer(house)
    await browser.send(type="offer", sdp=CHROME)
    await free(house)
    await until(lambda: len(browser.of("answer")) == 2)
    assert house.switchboard.live == 1
