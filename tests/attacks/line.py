"""A call to a whole server from a client that keeps to no rule: every packet that it sends is made here.

The server is real, and so are ICE, DTLS, SRTP and SCTP on both sides. After whatever a test does to the call,
`still_serves` says a word that was not said before and waits until the server has told it, or has said why it ended.
"""

import asyncio
import contextlib
import functools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import numpy as np

from engine.events import Word
from engine.scripted import WORDS
from signaling.events import Ended
from tests.media.caller import OPUS, Caller, opus_packets, rtp
from tests.signaling.house import Browser, House, Inbox, spoken

# Seconds after an attack in which a word must be told, or the end with its reason. Fewer than any patience of the
# server's; so many, since what else the machine does is not what is tested.
HEARD_WITHIN = 10.0
PACE = 0.002  # seconds between packets: ten times as fast as they are spoken
RED, EVENT_8, EVENT_48 = 63, 126, 110  # payload types that the offer adds to aiortc's


@functools.cache
def sound(word: str) -> tuple[bytes, ...]:
    """A word and a breath after it, as Opus packets of 20 ms."""
    return tuple(opus_packets(pcm([word])))


def pcm(words: list[str]) -> Any:
    """Words as s16 at 48 kHz."""
    return (np.clip(spoken(words), -1, 1) * 32_767).astype(np.int16)


class Line:
    """One call. `seq`, `timestamp` and `ssrc` are the sender's, and a test may move them as it likes."""

    def __init__(self, house: House, browser: Browser, caller: Caller) -> None:
        self.house = house
        self.browser = browser
        self.caller = caller
        self.told = Inbox()  # what came on the data channel
        self.seq = 1
        self.timestamp = 0
        self.ssrc = 1234
        self._words: Iterator[str] = iter(WORDS)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, house: House) -> AsyncIterator["Line"]:
        """Call, and say the first word."""
        browser = await house.dial()
        await browser.told("ready")
        async with Caller() as caller, asyncio.TaskGroup() as group:
            line = cls(house, browser, caller)
            reading = group.create_task(line._read())
            await line._connect()
            await line.say(next(line._words))
            yield line
            reading.cancel()

    # What is sent

    async def send(
        self, payload: bytes, *, samples: int = 960, payload_type: int = OPUS, ssrc: int | None = None
    ) -> None:
        """The next packet in order."""
        await self.put(payload, self.seq, self.timestamp, payload_type=payload_type, ssrc=ssrc)
        self.seq += 1
        self.timestamp += samples

    async def put(
        self, payload: bytes, seq: int, timestamp: int, *, payload_type: int = OPUS, ssrc: int | None = None
    ) -> None:
        """A packet with these numbers, whatever came before."""
        packet = rtp(seq, timestamp, payload, payload_type=payload_type, ssrc=self.ssrc if ssrc is None else ssrc)
        await self.raw(packet)

    async def raw(self, packet: bytes) -> None:
        """RTP or RTCP as it is, through SRTP."""
        await self.dtls._send_rtp(packet)
        await asyncio.sleep(0)  # both ends are in this process: let the other one read

    async def datagram(self, data: bytes) -> None:
        """A datagram as it is, from the address that has proven to be the caller's."""
        await self.dtls.transport._send(data)
        await asyncio.sleep(0)

    async def say(self, word: str) -> None:
        """A word, faster than anybody speaks."""
        for payload in sound(word):
            await self.send(payload)
            await asyncio.sleep(PACE)

    @property
    def dtls(self) -> Any:
        """aiortc's transport of the caller: a sender that is not kept from anything."""
        return self.caller.connection.getTransceivers()[0].sender.transport

    @property
    def sctp(self) -> Any:
        return self.caller.connection.sctp

    # What must come of it

    async def still_serves(self) -> None:
        """A new word is told in time."""
        async with self._saying() as word:
            await self.told.told("word", HEARD_WITHIN, text=word)

    async def is_still_heard(self) -> None:
        """A new word stands in the session's log in time, though the caller cannot be told."""
        async with self._saying() as word:
            async for event in self._logged():
                if isinstance(event, Word) and event.text == word:
                    return
            raise AssertionError("the session has ended")

    async def reason(self) -> str:
        """Why the session has ended, in time."""
        async for event in self._logged():
            if isinstance(event, Ended):
                return event.reason
        raise AssertionError("the session has ended without a reason")

    async def reopen(self) -> None:
        """A new channel of the same name, in place of one that was closed."""
        opened = asyncio.Event()
        self.caller.channel = self.caller.connection.createDataChannel("events")
        self.caller.channel.on("open", opened.set)
        self.caller.channel.on("message", self.caller.messages.put_nowait)
        async with asyncio.timeout(HEARD_WITHIN):
            await opened.wait()

    # Inside

    async def _connect(self) -> None:
        await self.browser.send(type="offer", sdp=with_tones_and_redundancy(await self.caller.offer()))
        self.sctp._handle_data = surviving(self.sctp._handle_data)
        answer = (await self.browser.told("answer"))["sdp"]
        await self.caller.accept(answer)
        await asyncio.wait_for(self.caller.connected(), HEARD_WITHIN)

    @contextlib.asynccontextmanager
    async def _saying(self) -> AsyncIterator[str]:
        """A new word, said again and again: after a flood the first may be among what was dropped."""
        word = next(self._words)
        saying = asyncio.create_task(self._repeat(word))
        try:
            yield word
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)

    async def _repeat(self, word: str) -> None:
        while True:
            await self.say(word)
            await asyncio.sleep(0.2)

    async def _logged(self) -> AsyncIterator[object]:
        session = (await self.browser.told("ready"))["session"]
        async with asyncio.timeout(HEARD_WITHIN):
            async for entry in self.house.switchboard.transcript(session).read(0):
                yield entry.event

    async def _read(self) -> None:
        while True:
            self.told.put(json.loads(await self.caller.messages.get()))


def surviving(handle: Callable[[bytes], Awaitable[None]]) -> Callable[[bytes], Awaitable[None]]:
    """aiortc's reader of SCTP on the caller's side, which would not survive the answers to what a test sends."""

    async def survive(data: bytes) -> None:
        with contextlib.suppress(AssertionError):
            await handle(data)

    return survive


def with_tones_and_redundancy(offer: str) -> str:
    """aiortc's offer, with what a browser offers too."""
    added = (
        f"a=rtpmap:{RED} red/48000/2\r\na=fmtp:{RED} {OPUS}/{OPUS}\r\n"
        f"a=rtpmap:{EVENT_8} telephone-event/8000\r\na=rtpmap:{EVENT_48} telephone-event/48000\r\n"
    )
    offer = re.sub(r"(m=audio .*?)\r\n", rf"\1 {RED} {EVENT_8} {EVENT_48}\r\n", offer, count=1)
    return re.sub(r"(a=rtpmap:0 )", added + r"\1", offer, count=1)
