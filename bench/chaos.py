"""How soon is everybody told when the engine dies, and how soon is it back? And when it stands still for 10 s?

    python -m bench.chaos

A caller at every door of a real server, with a listener: WebRTC, WHIP, five sockets, server-sent events. The engine's
process is killed; then it is stopped, and goes on.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable
from typing import Any

import aiohttp

from bench import save
from bench.capacity.knocks import offer
from tests.offhook.doors import SDP, SOCKETS, Guest, Publisher, told_by_sse
from tests.offhook.server import Server

TOLD = 3.0  # seconds
BACK = 10.0  # seconds
STOPPED = 10.0  # seconds for which the engine stands still
SOON = 20.0  # seconds for anything at all
WORDS = ("alpha", "bravo") * 3
OTHERS = ("/", "/metrics", "/v1/sessions", "/health", "/ready")

Figures = dict[str, Any]


async def killed(http: aiohttp.ClientSession, server: Server) -> Figures:
    """Seconds from `kill -9` to the last message at each door, and to the first call that is served again."""
    _, voice = await server.call(*WORDS)
    publisher = await Publisher.at(http, server.url, *WORDS)
    guests = [await Guest.at(http, server.url, door) for door in SOCKETS]
    for guest in guests:
        await guest.say(*WORDS)
    listening = asyncio.create_task(told_by_sse(http, f"{publisher.resource}/events", "ended"))
    await asyncio.gather(voice.told("word"), publisher.told("word"), *(guest.hears("alpha") for guest in guests))
    began = asyncio.get_running_loop().time()
    server.engine.kill()
    waits: dict[str, Awaitable[Any]] = {
        "WebRTC": voice.told("ended", SOON),
        "WHIP": publisher.told("ended", SOON),
        "server-sent events": listening,
        **{guest.door.path: guest.last() for guest in guests},
    }
    seconds = dict(zip(waits, await asyncio.gather(*(since(began, wait) for wait in waits.values())), strict=True))
    answers = await statuses(http, server.url)
    back = await since(began, health(server, 200))
    await publisher.close()
    return {"told": seconds, "back": back, "statuses": answers}


async def stopped(http: aiohttp.ClientSession, server: Server) -> Figures:
    """An engine that stands still: seconds until the server says so, and until it is well again, as the same one."""
    engine = server.engine
    began = asyncio.get_running_loop().time()
    engine.suspend()
    red = await since(began, health(server, 503))
    await asyncio.sleep(began + STOPPED - asyncio.get_running_loop().time())
    answers = await statuses(http, server.url)
    engine.resume()
    green = await since(asyncio.get_running_loop().time(), health(server, 200))
    return {"red": red, "green": green, "same_process": server.engine.pid == engine.pid, "statuses": answers}


async def since(began: float, wait: Awaitable[object]) -> float:
    """Seconds from `began` until it has happened."""
    async with asyncio.timeout(SOON):
        await wait
    return round(asyncio.get_running_loop().time() - began, 3)


async def health(server: Server, status: int) -> None:
    """Until /health says so; nothing else tells of it."""
    while (await server.health())[0] != status:  # noqa: ASYNC110 (nothing tells of it)
        await asyncio.sleep(0.02)


async def statuses(http: aiohttp.ClientSession, url: str) -> dict[str, int]:
    """How the other doors answer."""
    found = {}
    for path in OTHERS:
        async with http.get(url + path) as response:
            found[path] = response.status
    for path, body, headers in (("/whip", await offer(), SDP), ("/api/asr-streaming", "RIFF", {})):
        async with http.post(url + path, data=body, headers=headers) as response:
            found[f"POST {path}"] = response.status
    return found


async def run() -> Figures:
    """Both, one after another, on one server."""
    server = await Server.start()
    try:
        async with aiohttp.ClientSession() as http:
            return {"killed": await killed(http, server), "stopped": await stopped(http, server)}
    finally:
        await server.close()


def missed(figures: Figures) -> list[str]:
    """The goals that were not reached, as sentences."""
    killed, stopped = figures["killed"], figures["stopped"]
    answers = [*killed["statuses"].values(), *stopped["statuses"].values()]
    goals = {
        "somebody was told too late": max(killed["told"].values()) < TOLD,
        "the engine was back too late": killed["back"] < BACK,
        "a door answered with a fault": all(status < 500 or status == 503 for status in answers),
        "the engine that stood still was not told of": stopped["statuses"]["/health"] == 503,
        "the engine that stood still was started again": stopped["same_process"],
    }
    return [sentence for sentence, reached in goals.items() if not reached]


def main() -> int:
    """Print the figures, keep them; the number of goals that were missed."""
    figures = asyncio.run(run())
    figures["missed"] = missed(figures)
    for name, part in figures.items():
        print(f"{name}: {part}")
    print(f"saved {os.path.relpath(save('chaos', figures))}")
    return len(figures["missed"])


if __name__ == "__main__":
    sys.exit(main())
