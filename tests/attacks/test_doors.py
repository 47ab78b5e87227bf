"""What clients should not do to the sockets, whatever they speak there: not read, come from elsewhere, say too much.

What one of them does is its own affair: those at the other doors are told their words as before.
"""

import asyncio

import aiohttp
import numpy as np
import pytest

from engine.base import PCM
from engine.events import Word
from signaling.dialects.openai import MESSAGE_LIMIT as OPENAI_LIMIT
from signaling.transports import websocket
from tests.offhook.doors import SOCKETS, Door, Guest, within
from tests.signaling.house import SOON, House, OpenHouse, until
from tests.signaling.transports.test_websocket import Attended

SILENCE: PCM = np.zeros(480, np.float32)
LIMITS = {"/v1/realtime": OPENAI_LIMIT}
IDS = [door.path.partition("?")[0] for door in SOCKETS]
AT_ONCE = 4  # of each language


async def test_many_who_never_read_are_let_go_and_nothing_is_kept_for_them(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SEND_DEADLINE", 0.3)
    engine = Attended()
    house = await open_house(engine=engine, capacity=100)
    reader = await Guest.at(house.http, house.url, SOCKETS[0])
    await until(lambda: len(engine.streams) == 1)
    mute = [await Guest.at(house.http, house.url, door) for door in SOCKETS * AT_ONCE]
    await until(lambda: len(engine.streams) == 1 + len(mute))
    talking = asyncio.create_task(talk(engine))
    await until(lambda: all(stream.closed for stream in engine.streams[1:]), within=2 * SOON)
    talking.cancel()
    assert house.figure("offhook_sessions_ended_total", reason="slow_reader") == len(mute)
    engine.streams[0].outbox.put(Word("undisturbed", 0.0))
    await within(SOON, reader.hears("undisturbed"))
    for guest in (reader, *mute):
        await guest.socket.close()


async def talk(engine: Attended) -> None:
    """Words to everybody but the first."""
    at = 0.0
    while True:
        at += 1.0
        for stream in engine.streams[1:]:
            stream.outbox.put(Word("a" * 1_000, at))
        await asyncio.sleep(0)


@pytest.mark.parametrize("path", [*(door.path for door in SOCKETS), "/v1/signal"])
async def test_a_page_of_another_origin_is_refused_before_the_upgrade(house: House, path: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await house.http.ws_connect(house.url + path, headers={"Origin": "https://elsewhere.test"})
    assert refused.value.status == 403
    async with house.http.ws_connect(house.url + path, headers={"Origin": house.url}):
        pass


@pytest.mark.parametrize("door", SOCKETS, ids=IDS)
async def test_a_message_over_the_limit_of_its_language_ends_that_session_alone(house: House, door: Door) -> None:
    other = await Guest.at(house.http, house.url, SOCKETS[0])
    guest = await Guest.at(house.http, house.url, door)
    limit = LIMITS.get(door.path.partition("?")[0], websocket.MESSAGE_LIMIT)
    reading = asyncio.create_task(guest.last())
    await guest.send("x" * (limit + 1) if isinstance(door.audio(SILENCE), str) else bytes(limit + 1))
    [(_, code)] = await within(SOON, reading)
    assert code == 1009
    await other.say("alpha", "bravo")
    await within(SOON, other.hears("alpha"))
    await other.socket.close()
