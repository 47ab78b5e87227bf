"""moshi-server's door on a running server, with the remote engine as its client in both languages, and others."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import aiohttp
import msgpack
import numpy as np
import pytest

from engine import backends
from engine.base import PCM, Engine, EngineConfig
from engine.errors import Full, Unavailable
from engine.events import Word
from engine.remote import PATIENCE, RemoteEngine, Surroundings
from engine.scripted import WORDS, say
from engine.wire import Ready
from tests.engine.contract import Case, Clip, EngineContract
from tests.media import oggs
from tests.media.caller import opus_packets
from tests.signaling.house import SOON, House, OpenHouse, until

PATH = "/api/asr-streaming"
KEY = "a-long-secret"
CHUNK = 1_920  # samples: 80 ms, as moshi-server's clients send
FULL = {"type": "Error", "message": "no free channels"}
SILENCE: PCM = np.zeros(24_000, np.float32)

Fields = dict[str, Any]


def pack(type: str, *, single: bool = True, **fields: Any) -> bytes:
    return cast(bytes, msgpack.packb({"type": type, **fields}, use_single_float=single))


def audio(pcm: PCM, *, single: bool = True) -> bytes:
    return pack("Audio", pcm=pcm.tolist(), single=single)


class Client:
    """A client of moshi-server."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.told: list[Fields] = []

    @classmethod
    async def dial(cls, house: House, query: str = "", **options: Any) -> "Client":
        return cls(await house.http.ws_connect(house.url + PATH + query, **options))

    async def say(self, pcm: PCM) -> None:
        for start in range(0, len(pcm), CHUNK):
            await self.socket.send_bytes(audio(pcm[start : start + CHUNK]))

    async def send(self, *messages: str | bytes) -> None:
        for message in messages:
            await (self.socket.send_str(message) if isinstance(message, str) else self.socket.send_bytes(message))

    async def until(self, type: str) -> Fields:
        """Read up to a message of this type, or the close frame."""
        while (message := await self.socket.receive(SOON)).type is aiohttp.WSMsgType.BINARY:
            self.told.append(msgpack.unpackb(message.data))
            if self.told[-1]["type"] == type:
                return self.told[-1]
        return {"type": "", "code": self.socket.close_code}

    async def rest(self) -> list[Fields]:
        """Everything but Steps, up to the close frame."""
        await self.until("-")
        return [fields for fields in self.told if fields["type"] != "Step"]

    def of(self, type: str) -> list[Fields]:
        return [fields for fields in self.told if fields["type"] == type]

    @property
    def words(self) -> list[str]:
        return [word["text"] for word in self.of("Word")]


# Another Offhook


def behind_a_door(*, ours: bool) -> Callable[[int], AbstractAsyncContextManager[Engine]]:
    """The remote engine with this door before the scripted one. Without `ours` it does not see the offer."""

    @asynccontextmanager
    async def running(capacity: int) -> AsyncIterator[Engine]:
        house = await House.open(capacity=capacity)
        engine = RemoteEngine(EngineConfig("remote", remote_urls=(f"ws://127.0.0.1:{house.port}{PATH}",)))
        with pytest.MonkeyPatch.context() as patch:
            if not ours:
                patch.setattr(backends, "_ready", _ready_without_offer)
            try:
                await engine.start()
                yield engine
            finally:
                await engine.close()
                await house.close()

    return running


async def _ready_without_offer(socket: aiohttp.ClientWebSocketResponse) -> Ready:
    await _told_ready(socket)
    return Ready(version=0)


_told_ready = backends._ready


def tones() -> Sequence[Clip]:
    return [Clip(say(WORDS[start : start + 4]), WORDS[start : start + 4]) for start in range(0, 20, 4)]


class TestTwoTiers(EngineContract):
    """What every engine promises, with this door in between."""

    @pytest.fixture(params=[True, False], ids=["our-language", "moshi-servers"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(behind_a_door(ours=request.param), tones)


async def test_a_remote_engine_is_told_at_once_that_the_server_ends(house: House) -> None:
    engine = RemoteEngine(EngineConfig("remote", remote_urls=(house.url.replace("http", "ws") + PATH,)))
    await engine.start()
    try:
        stream = await engine.open()
        await stream.feed(say(["alpha"]))
        reading = asyncio.create_task(_read(stream))
        await until(lambda: house.switchboard.live == 1)
        draining = asyncio.create_task(house.switchboard.drain())
        with pytest.raises(Unavailable, match="about to end"):
            await asyncio.wait_for(reading, SOON)
        await stream.close()
        await draining
    finally:
        await engine.close()


async def _read(stream: Any) -> list[Any]:
    return [event async for event in stream]


# A client of moshi-server


async def test_words_come_with_their_times_and_a_marker_needs_no_audio_behind_it(house: House) -> None:
    client = await Client.dial(house)
    assert (await client.until("Ready"))["type"] == "Ready"
    await client.say(say(["alpha", "bravo"]))
    await client.send(pack("Marker", id=7))
    await client.until("Marker")
    spoken = [fields for fields in client.told if fields["type"] in ("Word", "EndWord", "Marker")]
    assert spoken == [
        {"type": "Word", "text": "alpha", "start_time": pytest.approx(0.0)},
        {"type": "EndWord", "stop_time": pytest.approx(0.32)},
        {"type": "Word", "text": "bravo", "start_time": pytest.approx(0.56)},
        {"type": "EndWord", "stop_time": pytest.approx(0.88)},
        {"type": "Marker", "id": 7},
    ]
    await client.socket.close()


async def test_a_session_goes_on_after_a_marker_and_its_times_too(house: House) -> None:
    client = await Client.dial(house)
    await client.say(say(["alpha"]))
    await client.send(pack("Marker", id=1))
    await client.until("Marker")
    await client.say(say(["bravo"]))
    await client.send(pack("Marker", id=2))
    assert (await client.until("Marker"))["id"] == 2
    assert [word["start_time"] for word in client.of("Word")] == pytest.approx([0.0, 0.56])
    await client.socket.close()


async def test_steps_and_times_count_from_each_sessions_own_start(house: House) -> None:
    first = await Client.dial(house)
    await first.say(np.concatenate((say(["alpha"]), SILENCE)))
    await first.until("EndWord")
    second = await Client.dial(house)
    await second.say(np.concatenate((say(["bravo"]), SILENCE)))
    await second.until("EndWord")
    for client in (first, second):
        steps = client.of("Step")
        assert [step["step_idx"] for step in steps] == list(range(1, len(steps) + 1))
        assert all(set(step) == {"type", "step_idx", "prs", "buffered_pcm"} for step in steps)
        assert {len(step["prs"]) for step in steps} == {4}
        assert client.of("Word")[0]["start_time"] == pytest.approx(0.0)
        await client.socket.close()


async def test_a_flush_brings_the_rest_of_the_words_and_the_end(house: House) -> None:
    client = await Client.dial(house)
    await client.say(say(["alpha", "bravo"], gap=0.1))
    await client.send(pack("Flush"))
    assert [fields["type"] for fields in await client.rest()] == ["Ready", *["Word", "EndWord"] * 2, "Marker"]
    assert client.socket.close_code == 1000


async def test_audio_may_be_doubles_and_of_any_length(house: House) -> None:
    client = await Client.dial(house)
    pcm = say(["alpha", "bravo", "charlie"])
    for start in range(0, len(pcm), 7_777):
        await client.send(audio(pcm[start : start + 7_777], single=False), audio(SILENCE[:0]))
    await client.send(pack("Flush"))
    await client.rest()
    assert client.words == ["alpha", "bravo", "charlie"]


async def test_ogg_opus_is_heard(house: House) -> None:
    client = await Client.dial(house)
    sound = np.repeat(np.concatenate((say(["alpha", "bravo"]), SILENCE)), 2)
    pages = oggs.pages(opus_packets((sound * 32_767).astype(np.int16)))
    await client.send(*(pack("OggOpus", data=page) for page in pages), pack("Flush"))
    await client.rest()
    assert client.words == ["alpha", "bravo"]


async def test_text_is_not_looked_at(house: House) -> None:
    client = await Client.dial(house)
    await client.send("hello", pack("Marker", id=1))
    assert (await client.until("Marker"))["id"] == 1
    await client.socket.close()


async def test_what_clients_of_the_field_send_at_the_end_is_answered(house: House) -> None:
    """DSM's scripts: a second of silence first; then five, a Marker, and 35 more without waiting for anything."""
    client = await Client.dial(house)
    await client.say(np.concatenate((SILENCE, say(["alpha", "bravo"], gap=0.1), *[SILENCE] * 5)))
    await client.send(pack("Marker", id=0))
    trailing = asyncio.create_task(client.say(np.concatenate([SILENCE] * 35)))
    assert (await client.until("Marker"))["id"] == 0
    assert client.words == ["alpha", "bravo"]
    await trailing
    await client.socket.close()
    await until(lambda: house.switchboard.live == 0)


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 401),
        ("", {"kyutai-api-key": "another-secret"}, 401),
        ("?auth_id=another-secret", {}, 401),
        (f"?auth_id={KEY}", {"kyutai-api-key": "another-secret"}, 401),
        ("", {"kyutai-api-key": KEY}, 101),
        (f"?auth_id={KEY}", {}, 101),
        ("", {"Authorization": f"Bearer {KEY}"}, 101),
    ],
)
async def test_a_key_is_shown_as_moshi_servers_clients_do(
    open_house: OpenHouse, query: str, headers: dict[str, str], status: int
) -> None:
    house = await open_house(keys=(KEY,))
    if status == 101:
        client = await Client.dial(house, query, headers=headers)
        assert (await client.until("Ready"))["type"] == "Ready"
        await client.socket.close()
    else:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await Client.dial(house, query, headers=headers)
        assert refused.value.status == status


async def test_a_full_house_opens_says_so_and_closes_and_a_place_that_is_free_is_given(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    first = await Client.dial(house)
    await first.until("Ready")
    second = await Client.dial(house)
    assert await second.rest() == [FULL]
    assert second.socket.close_code == 1013
    await first.socket.close()
    await until(lambda: house.engine.stats().free == 1)
    third = await Client.dial(house)
    assert (await third.until("Ready"))["type"] == "Ready"
    await third.socket.close()


async def test_our_own_client_is_told_of_a_full_house_too(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    first = await Client.dial(house)
    await first.until("Ready")
    hasty = Surroundings(now=itertools.count(step=PATIENCE).__next__)
    engine = RemoteEngine(EngineConfig("remote", remote_urls=(house.url.replace("http", "ws") + PATH,)), hasty)
    await engine.start()
    with pytest.raises(Full):
        await engine.open()
    await engine.close()
    await first.socket.close()


# Bad input

NOT_FINITE, LOUD = np.full(480, np.nan, np.float32), np.full(480, 3e4, np.float32)
INIT = pack("Init", offhook=1, backlog=1.0, job="stream")


@pytest.mark.parametrize(
    ("messages", "said", "code"),
    [
        ([b"\xc1"], "not msgpack", 1003),
        ([b""], "not msgpack", 1003),
        ([audio(SILENCE)[:-3]], "not msgpack", 1003),
        ([b'{"type":"Audio"}'], "not msgpack", 1003),
        ([pack("Transcribe")], "unknown type", 1003),
        ([pack("Audio")], "Audio has no pcm", 1003),
        ([pack("Audio", pcm="no")], "Audio.pcm is of the wrong type", 1003),
        ([pack("Marker", id="one")], "Marker.id", 1003),
        ([pack("Init", offhook=1, backlog=1.0, job="clip")], "A clip is sent like any audio", 1003),
        ([INIT, pack("Pcm", pcm=b"123")], "ends inside a sample", 1003),
        ([audio(NOT_FINITE)], "NaN or infinite", 1007),
        ([audio(LOUD)], "far beyond", 1007),
        ([INIT, pack("Pcm", pcm=NOT_FINITE.tobytes())], "NaN or infinite", 1007),
        ([pack("OggOpus", data=b"RIFF" + bytes(100))], "not an Ogg stream", 1007),
        ([pack("OggOpus", data=b"OggS" + bytes(100))], "Ogg", 1007),
        ([audio(np.zeros(240_000, np.float32))], "1048576 bytes", 1009),
    ],
)
async def test_what_cannot_be_read_is_told_and_ends_that_session_alone(
    house: House, messages: list[bytes], said: str, code: int
) -> None:
    other = await Client.dial(house)
    await other.say(say(["alpha"]))
    client = await Client.dial(house)
    await client.send(*messages)
    *_, error = await client.rest()
    assert error["type"] == "Error"
    assert said in error["message"]
    assert client.socket.close_code == code
    await other.send(pack("Flush"))
    await other.rest()
    assert other.words == ["alpha"]
    await until(lambda: house.switchboard.live == 0 and house.engine.stats().live == 0)


async def test_words_said_before_a_message_that_cannot_be_read_have_been_told(house: House) -> None:
    client = await Client.dial(house)
    await client.say(np.concatenate((say(["alpha"]), SILENCE)))
    await client.until("EndWord")
    await client.send(b"\xc1")
    assert [fields["type"] for fields in await client.rest()] == ["Ready", "Word", "EndWord", "Error"]


async def test_ten_sockets_hear_their_own_words_only(house: House) -> None:
    scripts = [[WORDS[(index + step * 7) % len(WORDS)] for step in range(4)] for index in range(10)]

    async def converse(words: Sequence[str]) -> list[str]:
        client = await Client.dial(house)
        await client.say(say(words))
        await client.send(pack("Flush"))
        await client.rest()
        return client.words

    assert await asyncio.gather(*map(converse, scripts)) == scripts


async def test_a_clip_through_two_tiers_has_the_times_that_one_has(house: House) -> None:
    clip = say(["alpha", "bravo", "charlie"])
    far = RemoteEngine(EngineConfig("remote", remote_urls=(house.url.replace("http", "ws") + PATH,)))
    await far.start()
    heard = []
    for engine in (house.engine, far):
        stream = await engine.open()
        await stream.feed(clip)
        stream.finish()
        heard.append([event for event in await _read(stream) if isinstance(event, Word)])
        await stream.close()
    await far.close()
    assert heard[0] == heard[1]
