"""The callers: stock aiortc connections that send prepared packets when their network lets them through."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.media.network import PACKET, Journey
from bench.media.redundancy import RED, redundant, takes_red, with_red, without_red
from tests.media.caller import OPUS, Caller, rtp

SAMPLES = 960


@dataclass(frozen=True, slots=True)
class Script:
    """What one caller says: Opus payloads of 20 ms, and what becomes of each on its way."""

    payloads: Sequence[bytes]
    network: Sequence[Journey]
    redundant: bool = False  # as RED, to a receiver that answers RED

    @property
    def seconds(self) -> float:
        return len(self.payloads) * PACKET


class Speaker:
    """One caller. `left` has when each packet was sent off into its network, by the clock that processes share."""

    def __init__(self) -> None:
        self.left: list[float] = []
        self.offered = 0.0
        self.connected = asyncio.Event()
        self.takes_red = False
        self._planned: list[float] = []
        self._caller = Caller()
        self._caller.connection.on("connectionstatechange", self._state_changed)

    async def offer(self) -> str:
        """The offer, of a browser that knows RED."""
        offer = with_red(await self._caller.offer())
        self.offered = time.monotonic()
        return offer

    async def accept(self, answer: str) -> None:
        self.takes_red = takes_red(answer)
        await self._caller.accept(without_red(answer))

    async def close(self) -> None:
        await self._caller.connection.close()

    def packets(self, script: Script) -> Iterator[tuple[float, int, bytes | None]]:
        """Each packet of a script: when it comes out of the network, its number, its bytes; None where it is lost."""
        first = len(self.left)
        red = script.redundant and self.takes_red
        for index, journey in enumerate(script.network):
            seq = first + index
            payload = redundant(script.payloads, index) if red else script.payloads[index]
            packet = rtp(seq, seq * SAMPLES, payload, payload_type=RED if red else OPUS)
            yield index * PACKET + (journey or 0.0), seq, packet if journey is not None else None

    def plan(self, start: float, count: int) -> None:
        """The next `count` packets are to leave from `start` seconds after the beginning on."""
        self._planned = [start + index * PACKET for index in range(count)]

    def begin(self, now: float) -> None:
        """It is the beginning."""
        self.left += [now + at for at in self._planned]

    async def send(self, packet: bytes) -> None:
        await self._caller.send(packet)

    def _state_changed(self) -> None:
        if self._caller.connection.connectionState == "connected":
            self.connected.set()


async def play(speakers: Sequence[Speaker], scripts: Sequence[Script]) -> list[float]:
    """Have each speaker say its script, evenly out of step; how late each packet went, in seconds."""
    schedule = _schedule(speakers, scripts)
    began = time.monotonic()
    for speaker in speakers:
        speaker.begin(began)
    lateness = []
    for at, speaker, seq, packet in schedule:
        wait = began + at - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        if packet is not None:
            late = max(0.0, time.monotonic() - began - at)
            lateness.append(late)
            speaker.left[seq] += late
            await speaker.send(packet)
    return lateness


Departure = tuple[float, Speaker, int, bytes | None]  # seconds from the beginning, who, the packet's number, its bytes


def _schedule(speakers: Sequence[Speaker], scripts: Sequence[Script]) -> list[Departure]:
    schedule: list[Departure] = []
    for number, (speaker, script) in enumerate(zip(speakers, scripts, strict=True)):
        start = number / len(speakers) * PACKET
        schedule += [(start + at, speaker, seq, packet) for at, seq, packet in speaker.packets(script)]
        speaker.plan(start, len(script.payloads))
    return sorted(schedule, key=lambda departure: departure[0])
