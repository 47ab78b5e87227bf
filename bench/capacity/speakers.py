"""Callers that cost next to nothing: audio that was made beforehand, sent on time into a socket of each language."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp
import numpy as np

from bench.capacity.words import Expected, Heard
from engine.base import FRAME_SAMPLES, PCM, SAMPLE_RATE, s16_from_pcm
from engine.events import Word
from engine.verbs import Audio, Flush
from engine.wire import decode_reply, encode

BREATH = 1.0  # seconds of silence between two recordings
PATIENCE = 30.0  # seconds for the last words

Message = str | bytes


@dataclass(frozen=True, slots=True)
class Tongue:
    """One language of the field. `words`: those that a message of the server's tells."""

    name: str
    path: str
    audio: Callable[[PCM], Message]
    end: Message
    words: Callable[[Message], list[str]]
    start: tuple[Message, ...] = ()


def yap_audio(pcm: PCM) -> str:
    """16-bit samples in JSON."""
    return json.dumps({"type": "Audio", "audio": base64.b64encode(s16_from_pcm(pcm)).decode()})


def yap_words(message: Message) -> list[str]:
    """Of Word messages; Partial and Final repeat them."""
    told = json.loads(message)
    return [told["word"]] if told["type"] == "Word" else []


def token_words(message: Message) -> list[str]:
    """Of the s16 shape."""
    text = json.loads(message).get("text")
    return [text] if text else []


def moshi_words(message: Message) -> list[str]:
    """Of moshi-server's msgpack."""
    reply = decode_reply(message) if isinstance(message, bytes) else None
    return [reply.text] if isinstance(reply, Word) else []


TONGUES = (
    Tongue("stream", "/v1/stream?format=s16", s16_from_pcm, b"EOS", token_words),
    Tongue("moshi", "/api/asr-streaming", lambda pcm: encode(Audio(pcm), plain=True), encode(Flush()), moshi_words),
    Tongue("yap", "/", yap_audio, '{"type":"Flush"}', yap_words, ('{"type":"StartSTT"}',)),
)


@dataclass(frozen=True, slots=True)
class Script:
    """What a caller says, and what a recognizer hears in it that has the whole file."""

    pcm: PCM
    words: Sequence[Expected]

    @property
    def seconds(self) -> float:
        """How long it takes to say it."""
        return len(self.pcm) / SAMPLE_RATE


def chain(clips: Sequence[Script], first: int, seconds: float) -> Script:
    """Clips one after another, from the one numbered `first` on, for at least so long."""
    pieces: list[PCM] = []
    words: list[Expected] = []
    at, number = 0, first
    while at < seconds * SAMPLE_RATE:
        clip = clips[number % len(clips)]
        words += [Expected(word.text, word.stop + at / SAMPLE_RATE) for word in clip.words]
        pieces += [clip.pcm, np.zeros(round(BREATH * SAMPLE_RATE), np.float32)]
        at, number = at + len(clip.pcm) + len(pieces[-1]), number + 1
    return Script(np.concatenate(pieces), words)


@dataclass(slots=True)
class Take:
    """What came of one session. Times are the event loop's clock."""

    tongue: str
    script: Script
    sent: list[float]
    late: list[float]  # seconds that each message was sent after its time: the caller's own lateness
    heard: list[Heard]
    code: int | None = None  # of the close frame
    lost: int = 0  # words that stand in the server's log of the session, and did not come, or the other way round


async def speak(
    http: aiohttp.ClientSession, url: str, tongue: Tongue, script: Script, patience: float = PATIENCE
) -> Take:
    """One session in real time: connect, say everything, take the last words. A refusal is a Take without words.

    Raises TimeoutError when the last words have not come `patience` seconds after what was said.
    """
    messages = [
        tongue.audio(script.pcm[start : start + FRAME_SAMPLES]) for start in range(0, len(script.pcm), FRAME_SAMPLES)
    ]
    async with http.ws_connect(url + tongue.path, max_msg_size=0) as socket:
        take = Take(tongue.name, script, [], [], [])
        for message in tongue.start:
            await send(socket, message)
        sending = asyncio.create_task(say(socket, tongue, messages, take))
        try:
            async with asyncio.timeout(script.seconds + patience):
                await listen(socket, tongue, take)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        take.code = socket.close_code
        come = [word.text for word in take.heard]
        kept = await logged(http, url, socket._response.headers["Offhook-Session"])
    take.lost = (Counter(kept) - Counter(come)).total() + (Counter(come) - Counter(kept)).total()
    return take


async def say(socket: aiohttp.ClientWebSocketResponse, tongue: Tongue, messages: list[Message], take: Take) -> None:
    """Each message when its last sample would have been spoken."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, message in enumerate(messages, 1):
        due = began + number * FRAME_SAMPLES / SAMPLE_RATE
        await asyncio.sleep(due - loop.time())
        await send(socket, message)
        take.sent.append(loop.time())
        take.late.append(take.sent[-1] - due)
    await send(socket, tongue.end)


async def listen(socket: aiohttp.ClientWebSocketResponse, tongue: Tongue, take: Take) -> None:
    """Every word, with the moment at which it came, until the server closes."""
    clock = asyncio.get_running_loop().time
    async for message in socket:
        at = clock()
        take.heard += [Heard(word, at) for text in tongue.words(message.data) for word in text.split()]


async def send(socket: aiohttp.ClientWebSocketResponse, message: Message) -> None:
    """As text or binary."""
    await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))


async def logged(http: aiohttp.ClientSession, url: str, session: str) -> list[str]:
    """The words in the server's own log of a session that has ended."""
    words: list[str] = []
    async with http.get(f"{url}/v1/sessions/{session}/events") as response:
        response.raise_for_status()
        async for line in response.content:
            if line.startswith(b"data:") and (event := json.loads(line[5:]))["type"] == "word":
                words += event["text"].split()
    return words
