"""What a word's latency counts from, over a whole call with real RTCP and a long way between the two sides."""

import asyncio
from typing import Any

import pytest

from media import compat
from media.caller import Caller
from tests.signaling.house import SOON, Event, House

WAY = 0.15  # seconds in each direction
WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima")


def carry_late(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every datagram of this caller, of any kind and either direction, takes WAY from now on."""
    later = asyncio.get_running_loop().call_later
    for protocol in compat.ice_connection(caller._connection.getTransceivers()[0])._protocols:
        transport: Any = protocol.transport

        def send(*datagram: Any, transport: Any = transport, send: Any = transport.sendto) -> None:
            later(WAY, lambda: transport.is_closing() or send(*datagram))

        def take(*datagram: Any, take: Any = protocol.datagram_received) -> None:
            later(WAY, take, *datagram)

        monkeypatch.setattr(transport, "sendto", send)
        monkeypatch.setattr(protocol, "datagram_received", take)


async def test_a_words_latency_includes_the_way_to_us(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = asyncio.get_running_loop().time
    browser = await house.dial()
    await browser.told("ready")
    voice = browser.voice(WORDS)
    told: list[tuple[Event, float]] = []
    put = voice.put

    def note(event: Event) -> None:
        told.append((event, clock() - WAY))
        put(event)

    monkeypatch.setattr(voice, "put", note)
    offer = await voice.caller.offer()
    carry_late(voice.caller, monkeypatch)
    await browser.send(type="offer", sdp=offer)
    await browser.accept(voice)
    word = await voice.told("word", text=WORDS[-1], within=3 * SOON)
    moment = next(moment for event, moment in told if event is word)
    assert word["latency"] == pytest.approx(moment - (voice.speech._began + word["start"]), abs=WAY / 2)
