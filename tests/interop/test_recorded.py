"""The clients of the field, message by message and in their own pace, on a running server."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import websockets

from engine.base import PCM
from engine.batch import Mask
from engine.loop import BatchedEngine
from engine.scripted import WORDS, ScriptedModel, say
from engine.slots import ModelEvent
from tests.interop.recorded import KYUTAI, LATENCY, STRESS, YAP, Played, Silence, play
from tests.signaling.house import SOON, House, OpenHouse, until

SAID = ["alpha", "bravo", "charlie"]
CLIP = say(SAID)
KEY = "public_token"
FAST = 1_000.0  # times real time: as fast as it goes


@pytest.fixture
async def keyed(open_house: OpenHouse) -> House:
    """A server with the key that Kyutai's examples show."""
    return await open_house(keys=(KEY,))


@pytest.mark.parametrize("rtf", [1.01, FAST])
async def test_kyutais_example_has_its_words_with_times_and_leaves_in_good_order(keyed: House, rtf: float) -> None:
    played = await play(keyed.url, KYUTAI, CLIP, rtf)
    assert played.words == SAID
    starts, stops = ([each[name] for each in played.of(type)] for type, name in TIMES)
    assert starts == sorted(starts)
    assert all(start < stop for start, stop in zip(starts, stops, strict=True))
    assert starts[0] == pytest.approx(1.0, abs=0.16)  # it begins with a second of silence
    assert played.code == 1000
    await until(lambda: keyed.switchboard.live == 0)


TIMES = (("Word", "start_time"), ("EndWord", "stop_time"))


@pytest.mark.parametrize(
    ("path", "rtf"), [("/api/asr-streaming", 1.0), ("/", FAST), (f"/api/asr-streaming?auth_id={KEY}", FAST)]
)
async def test_yaps_clients_have_their_words_before_the_end(keyed: House, path: str, rtf: float) -> None:
    client = replace(YAP, path=path, headers={} if "auth_id" in path else YAP.headers)
    played = await play(keyed.url, client, CLIP, rtf)
    assert played.words == SAID
    assert played.told[-1] == {"type": "Marker", "id": 0}
    assert played.code == 1000


async def test_yaps_clients_know_a_full_house(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    async with websockets.connect(house.url.replace("http", "ws") + "/api/asr-streaming", proxy=None):
        await until(lambda: house.switchboard.live == 1)
        played = await play(house.url, replace(YAP, parts=()), CLIP, FAST)
    assert [told["type"] for told in played.told] == ["Error"]
    assert "no free channels" in played.told[0]["message"]
    assert played.code == 1013


async def test_four_streams_of_kyutai_modals_latency_test_have_their_own_words_each(house: House) -> None:
    words = [list(WORDS[4 * number : 4 * number + 4]) for number in range(4)]
    streams = await asyncio.gather(*(play(house.url, LATENCY, say(each), 4.0) for each in words))
    assert [stream.words for stream in streams] == words
    assert [stream.code for stream in streams] == [1000] * 4


@pytest.mark.parametrize("path", ["/v1/stream?format=s16", "/v1/transcribe"])
async def test_ten_streams_of_kyutai_modals_stress_test_have_their_own_words_each(house: House, path: str) -> None:
    words = [list(WORDS[2 * number : 2 * number + 3]) for number in range(10)]
    client = replace(STRESS, path=path)
    streams = await asyncio.gather(*(play(house.url, client, say(each), FAST) for each in words))
    assert [stream.words for stream in streams] == words


async def test_kyutai_modals_idle_tests(open_house: OpenHouse) -> None:
    """Two seconds of zeros and then nothing; zeros all the time; and again after the first."""
    house = await open_house(stream_idle_timeout=0.4)
    url = house.url.replace("http", "ws") + "/v1/stream"
    async with websockets.connect(url, proxy=None) as idle, websockets.connect(url, proxy=None) as busy:
        await idle.send(bytes(2 * 96_000))
        for _ in range(10):
            await busy.send(bytes(96_000))
            await asyncio.sleep(0.1)
        assert house.switchboard.live == 1
        await asyncio.wait_for(idle.wait_closed(), SOON)
        assert (idle.close_code, busy.close_code) == (1000, None)
    assert (await play(house.url, LATENCY, CLIP, FAST)).words == SAID


# An engine that is slower than the client


class Gated(ScriptedModel):
    """Hears nothing while its gate is shut."""

    def __init__(self) -> None:
        super().__init__(2)
        self.gate = threading.Event()

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        self.gate.wait(SOON)
        return super().step(pcm, active, reset)


@pytest.fixture
async def model() -> AsyncIterator[Gated]:
    model = Gated()
    yield model
    model.gate.set()


@pytest.fixture
async def gated(model: Gated, open_house: OpenHouse) -> House:
    """A server whose engine waits for the test."""
    return await open_house(engine=BatchedEngine(lambda: model, 2))


async def test_kyutais_example_is_rid_of_its_silence_before_its_marker_is_back(gated: House, model: Gated) -> None:
    """Were it not, it would find more Steps than it reads, and wait 10 s for our answer to its close."""
    sent = asyncio.Event()
    playing = asyncio.create_task(played(gated, sent))
    await asyncio.wait_for(sent.wait(), SOON)
    model.gate.set()
    result = await asyncio.wait_for(playing, SOON)
    assert (result.words, result.code) == (SAID, 1000)


async def played(house: House, sent: asyncio.Event) -> Played:
    """Kyutai's example; `sent` is set as its last message is made: those before it are gone."""
    messages = itertools.count(1)

    def audio(pcm: PCM) -> str | bytes:
        if next(messages) == 1 + -(-len(CLIP) // 1_920) + 5 + 35:
            sent.set()
        return KYUTAI.audio(pcm)

    return await play(house.url, replace(KYUTAI, audio=audio), CLIP, FAST)


async def test_pings_are_answered_while_an_engine_has_much_to_hear(gated: House, model: Gated) -> None:
    """Within the backlog: what is beyond it waits on the way, and pings behind it."""
    client = replace(KYUTAI, parts=(*KYUTAI.parts[:-1], Silence(24_000, 30)))
    playing = asyncio.create_task(play(gated.url, client, CLIP, FAST, ping_interval=0.05, ping_timeout=0.8))
    await asyncio.sleep(1.2)  # longer than the patience of its pings
    assert not playing.done()
    model.gate.set()
    assert (await asyncio.wait_for(playing, SOON)).code == 1000
