"""The doors of kyutai_modal's, Yap's and moshi's clients on a running server: their message sequences, from first to
last, and what each is told when something is wrong."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import msgpack
import numpy as np
import pytest

from engine.base import PCM, s16_from_pcm
from engine.scripted import WORDS, say
from tests.media import oggs
from tests.media.caller import opus_packets
from tests.signaling.house import SOON, House, OpenHouse, until

CHUNK = 1_920  # samples: 80 ms, as the clients of the field send
SILENCE: PCM = np.zeros(36_000, np.float32)
FULL = "no free channels"


def f32(pcm: PCM) -> bytes:
    return pcm.astype("<f4").tobytes()


def yap_audio(pcm: PCM) -> str:
    return json.dumps({"type": "Audio", "audio": base64.b64encode(s16_from_pcm(pcm)).decode()})


def moshi_audio(pcm: PCM) -> bytes:
    return pack({"type": "Audio", "pcm": pcm.tolist()})


def pack(fields: object) -> bytes:
    return cast(bytes, msgpack.packb(fields, use_single_float=True))


def chunks(pcm: PCM) -> Iterator[PCM]:
    yield from (pcm[at : at + CHUNK] for at in range(0, len(pcm), CHUNK))


class Client:
    """A socket, and what came of it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.told: list[Any] = []

    @classmethod
    async def at(cls, house: House, path: str, **options: Any) -> "Client":
        return cls(await house.http.ws_connect(house.url + path, **options))

    async def send(self, *messages: str | bytes) -> None:
        for message in messages:
            await (self.socket.send_str(message) if isinstance(message, str) else self.socket.send_bytes(message))

    async def next(self) -> Any:
        """The next message; None when the server has closed the socket."""
        message = await self.socket.receive(SOON)
        if message.type is aiohttp.WSMsgType.TEXT:
            self.told.append(json.loads(message.data))
        elif message.type is aiohttp.WSMsgType.BINARY:
            self.told.append(msgpack.unpackb(message.data))
        else:
            return None
        return self.told[-1]

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """Read on until a message is wanted."""
        while (message := await self.next()) is not None:
            if wanted(message):
                return message
        raise AssertionError(f"closed with {self.socket.close_code}, told {self.told}")

    async def rest(self) -> list[Any]:
        """Everything until the server closes the socket."""
        while await self.next() is not None:
            pass
        return self.told

    @property
    def code(self) -> int | None:
        return self.socket.close_code

    def of(self, type: str) -> list[Any]:
        return [message for message in self.told if message.get("type") == type]


# kyutai_modal: /v1/stream and /v1/transcribe


async def test_float32_becomes_tokens_while_it_is_being_sent(house: House) -> None:
    client = await Client.at(house, "/v1/stream")
    await client.send(*map(f32, chunks(say(["alpha", "bravo"]))), f32(SILENCE))
    await client.until(lambda message: message.get("text") == " bravo")
    assert "".join(token["text"] for token in client.of("token")) == " alpha bravo"
    await client.socket.close()
    await until(lambda: house.switchboard.live == 0)


async def test_the_three_bytes_bring_the_rest_of_the_words_and_the_end(house: House) -> None:
    client = await Client.at(house, "/v1/stream")
    await client.send(f32(say(["alpha", "bravo"], gap=0.1)), b"EOS")
    assert await client.rest() == [
        {"type": "token", "text": " alpha"},
        {"type": "token", "text": " bravo"},
        {"text": "", "final": True},
        {"status": "complete"},
    ]
    assert client.code == 1000


@pytest.mark.parametrize("path", ["/v1/transcribe", "/v1/stream?format=s16"])
async def test_sixteen_bit_audio_becomes_texts_and_the_last_is_final(house: House, path: str) -> None:
    client = await Client.at(house, path)
    await client.send(s16_from_pcm(say(["alpha", "bravo", "charlie"], gap=0.1)), b"EOS")
    assert await client.rest() == [
        {"text": "alpha", "final": False},
        {"text": "bravo", "final": False},
        {"text": "charlie", "final": True},
        {"status": "complete"},
    ]
    assert client.code == 1000


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/transcribe"])
async def test_ogg_opus_is_heard_at_the_same_door(house: House, path: str) -> None:
    sound = np.repeat(np.concatenate((say(["alpha", "bravo"]), SILENCE)), 2)
    pages = oggs.pages(opus_packets((sound * 32_767).astype(np.int16)))
    client = await Client.at(house, path)
    await client.send(*pages, b"EOS")
    words = [message["text"].strip() for message in await client.rest() if message.get("text")]
    assert words == ["alpha", "bravo"]


async def test_pauses_and_pings_are_told_to_who_asks(house: House) -> None:
    client = await Client.at(house, "/v1/stream?vad=1")
    await client.send(f32(say(["alpha"])), *[f32(SILENCE)] * 8, b"EOS")
    await client.rest()
    assert [message.get("type") for message in client.told if message.get("type") != "ping"][:2] == ["token", "vad_end"]
    assert len(client.of("ping")) == 1


async def test_a_socket_without_bytes_is_closed_after_its_last_words(open_house: OpenHouse) -> None:
    house = await open_house(stream_idle_timeout=0.3)
    client = await Client.at(house, "/v1/stream")
    await client.send(f32(say(["alpha"], gap=0.1)))
    assert await client.rest() == [{"type": "token", "text": " alpha"}]
    assert client.code == 1000
    assert house.figure("offhook_sessions_ended_total", reason="idle") == 1


async def test_silence_is_not_idle(open_house: OpenHouse) -> None:
    house = await open_house(stream_idle_timeout=0.6)
    client = await Client.at(house, "/v1/stream")
    for _ in range(12):
        await client.send(f32(SILENCE[:CHUNK]))
        await asyncio.sleep(0.08)  # as long as it lasts
    assert house.switchboard.live == 1
    await client.socket.close()


async def test_another_format_is_refused_before_the_upgrade(house: House) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Client.at(house, "/v1/stream?format=mp3")
    assert refused.value.status == 400


# Yap at the root


async def test_a_yap_client_is_told_words_partials_and_a_final(house: House) -> None:
    client = await Client.at(house, "/")
    await client.send('{"type":"StartSTT"}')
    assert await client.next() == {"type": "Ready"}
    await client.send(*map(yap_audio, chunks(say(["alpha", "bravo"], gap=0.1))), '{"type":"Flush"}')
    told = await client.rest()
    assert [word["word"] for word in client.of("Word")] == ["alpha", "bravo"]
    assert client.of("Partial")[-1] == {"type": "Partial", "text": "alpha bravo"}
    assert told[-1] == {"type": "Final", "text": "alpha bravo"}
    assert client.code == 1000


# moshi at the root


async def test_a_moshi_client_is_known_at_the_root_by_its_first_message(house: House) -> None:
    client = await Client.at(house, "/")
    await client.send(*map(moshi_audio, chunks(np.concatenate((say(["alpha"]), SILENCE)))))
    assert await client.next() == {"type": "Ready"} | client.told[0]
    assert (await client.until(lambda message: message["type"] == "Word"))["text"] == "alpha"
    await client.until(lambda message: message["type"] == "EndWord")
    assert client.of("Step")
    await client.socket.close()


async def test_a_msgpack_flush_at_the_root_ends_with_the_last_words(house: House) -> None:
    client = await Client.at(house, "/")
    await client.send(moshi_audio(say(["alpha", "bravo"], gap=0.1)), pack({"type": "Flush"}))
    await client.rest()
    assert [word["text"] for word in client.of("Word")] == ["alpha", "bravo"]
    assert client.code == 1000


async def test_the_root_stays_a_page_and_a_description(house: House) -> None:
    async with house.http.get(house.url, headers={"Accept": "text/html"}) as response:
        assert response.content_type == "text/html"
    async with house.http.get(house.url) as response:
        assert (await response.json())["endpoints"]["websocket"] == "/v1/stream"


# When something is wrong


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/stream", [{"type": "error", "message": "All lines are busy; please try again in a few seconds."}]),
        ("/v1/transcribe", [{"error": "All lines are busy; please try again in a few seconds."}]),
        ("/api/asr-streaming", [{"type": "Error", "message": FULL}]),
        ("/", [{"type": "Error", "message": FULL}] * 2),
    ],
)
async def test_a_full_house_is_told_in_the_language_of_the_door(
    open_house: OpenHouse, path: str, told: list[Any]
) -> None:
    house = await open_house(capacity=1)
    first = await Client.at(house, "/v1/stream")
    await until(lambda: house.switchboard.live == 1)
    client = await Client.at(house, path)
    assert await client.rest() == told
    assert client.code == 1013
    await first.socket.close()


async def test_at_the_root_a_full_house_is_told_in_binary_first(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    first = await Client.at(house, "/v1/stream")
    await until(lambda: house.switchboard.live == 1)
    client = await Client.at(house, "/")
    kinds = [(await client.socket.receive(SOON)).type for _ in range(3)]
    assert kinds == [aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.CLOSE]
    await first.socket.close()


LOUD = np.full(480, 3e4, "<f4").tobytes()
NAN = np.full(480, np.nan, "<f4").tobytes()
START = '{"type":"StartSTT"}'


@pytest.mark.parametrize(
    ("path", "messages", "told", "code"),
    [
        ("/v1/stream", [b"123"], "multiples of 4 bytes", 1007),
        ("/v1/stream", [NAN], "NaN", 1007),
        ("/v1/stream", [LOUD], "far beyond", 1007),
        ("/v1/stream", ["hello"], "binary messages", 1008),
        ("/v1/stream", [b"OggS" + bytes(100)], "Ogg", 1007),
        ("/v1/stream", [bytes((1 << 20) + 4)], "1048576 bytes", 1009),
        ("/v1/transcribe", [b"123"], "must be PCM16", 1007),
        ("/", ["hello"], "not JSON", 1008),
        ("/", ['{"type":"Hello"}'], "must be StartSTT", 1008),
        ("/", [yap_audio(SILENCE)], "StartSTT comes first", 1008),
        ("/", [START, '{"type":"Audio","audio":"?"}'], "base64", 1008),
        ("/", [START, '{"type":"Audio","audio":"AAAA"}'], "even number of bytes", 1007),
        ("/", [START, b"123"], "not binary", 1008),
        ("/", [START, "x" * ((1 << 20) + 1)], "1048576 bytes", 1009),
        ("/", [b"123"], "msgpack", 1003),
    ],
)
async def test_what_cannot_be_read_is_told_and_ends_that_socket_alone(
    house: House, path: str, messages: list[str | bytes], told: str, code: int
) -> None:
    other = await Client.at(house, "/v1/stream")
    await other.send(f32(say(["alpha"])))
    client = await Client.at(house, path)
    await client.send(*messages)
    last = (await client.rest())[-1]
    assert told in str(last.get("message") or last["error"])
    assert client.code == code
    await other.send(b"EOS")
    assert (await other.rest())[0] == {"type": "token", "text": " alpha"}


# Many at once


@dataclass
class Door:
    """How one door is spoken to, and where its words are."""

    path: str
    audio: Callable[[PCM], str | bytes]
    end: str | bytes
    words: Callable[[list[Any]], list[str]]
    start: list[str | bytes] = field(default_factory=list)


def token_words(told: list[Any]) -> list[str]:
    return "".join(message["text"] for message in told if message.get("type") == "token").split()


def yap_words(told: list[Any]) -> list[str]:
    return cast(str, told[-1]["text"]).split()


def moshi_words(told: list[Any]) -> list[str]:
    return [message["text"] for message in told if message["type"] == "Word"]


def final_words(told: list[Any]) -> list[str]:
    return [message["text"] for message in told if message.get("text")]


DOORS = [
    Door("/v1/stream", f32, b"EOS", token_words),
    Door("/v1/transcribe", s16_from_pcm, b"EOS", final_words),
    Door("/", yap_audio, '{"type":"Flush"}', yap_words, [START]),
    Door("/", moshi_audio, pack({"type": "Flush"}), moshi_words),
    Door("/api/asr-streaming", moshi_audio, pack({"type": "Flush"}), moshi_words),
]


async def converse(house: House, door: Door, words: Sequence[str]) -> list[str]:
    client = await Client.at(house, door.path)
    await client.send(*door.start)
    for chunk in chunks(say(words)):
        await client.send(door.audio(chunk))
        await asyncio.sleep(0)
    await client.send(door.end)
    return door.words(await client.rest())


async def test_ten_sockets_of_all_doors_hear_their_own_words_only(house: House) -> None:
    scripts = [[WORDS[(index + step * 7) % len(WORDS)] for step in range(4)] for index in range(10)]
    calls = [converse(house, DOORS[index % len(DOORS)], words) for index, words in enumerate(scripts)]
    assert await asyncio.gather(*calls) == scripts
