"""OpenAI's own Python client, unmodified, against a running server: another base URL, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.realtime import (
    ConversationItemInputAudioTranscriptionCompletedEvent,
    ConversationItemInputAudioTranscriptionDeltaEvent,
)

from media.caller import Caller, Speech
from tests.signaling.house import SOON, House, Inbox, OpenHouse, spoken, until
from tests.signaling.openai_clients import COMPLETED, DELTA, KEY, QUIET, chunks

MakeClient = Callable[[str], AsyncOpenAI]


@pytest.fixture
async def locked(open_house: OpenHouse) -> House:
    return await open_house(keys=(KEY,))


@pytest.fixture
async def client(locked: House) -> AsyncIterator[MakeClient]:
    """`client(api_key)`: OpenAI's client of that server."""
    made: list[AsyncOpenAI] = []

    def make(key: str = KEY) -> AsyncOpenAI:
        made.append(AsyncOpenAI(base_url=f"{locked.url}/v1", api_key=key, max_retries=0))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.mark.parametrize("connect", [{"model": "gpt-realtime"}, {"extra_query": {"intent": "transcription"}}])
async def test_realtime_connect_sends_audio_and_gets_deltas(client: MakeClient, connect: dict[str, object]) -> None:
    words: list[str] = []
    async with asyncio.timeout(SOON), client(KEY).realtime.connect(**connect) as connection:  # type: ignore[arg-type]
        await connection.session.update(
            session={"type": "transcription", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
        )
        for audio in chunks(["alpha", "bravo"]):
            await connection.input_audio_buffer.append(audio=audio)
        async for event in connection:
            if isinstance(event, ConversationItemInputAudioTranscriptionDeltaEvent):
                words.append(event.delta or "")
            if isinstance(event, ConversationItemInputAudioTranscriptionCompletedEvent):
                assert event.transcript == "alpha bravo"
                assert event.usage.type == "duration"
                break
    assert words == ["alpha", " bravo"]


async def test_each_event_is_of_the_type_that_the_client_knows(client: MakeClient) -> None:
    kinds: dict[str, str] = {}
    async with asyncio.timeout(SOON), client(KEY).realtime.connect(model="any") as connection:
        await connection.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
        for audio in chunks(["alpha"], QUIET[:0]):
            await connection.input_audio_buffer.append(audio=audio)
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        await connection.input_audio_buffer.clear()
        async for event in connection:
            kinds[event.type] = type(event).__name__
            if isinstance(event, ConversationItemInputAudioTranscriptionCompletedEvent):
                await connection.conversation.item.retrieve(item_id=event.item_id)
            if event.type == "conversation.item.retrieved":
                break
    assert kinds == {
        "session.created": "SessionCreatedEvent",
        "session.updated": "SessionUpdatedEvent",
        "input_audio_buffer.committed": "InputAudioBufferCommittedEvent",
        "conversation.item.added": "ConversationItemAdded",
        "conversation.item.done": "ConversationItemDone",
        "error": "RealtimeErrorEvent",
        "input_audio_buffer.cleared": "InputAudioBufferClearedEvent",
        DELTA: "ConversationItemInputAudioTranscriptionDeltaEvent",
        COMPLETED: "ConversationItemInputAudioTranscriptionCompletedEvent",
        "conversation.item.retrieved": "ConversationItemRetrieved",
    }


@pytest.mark.parametrize("settings", [False, True])  # the client sends a bare SDP, or a form
async def test_realtime_calls_create_begins_a_call_with_an_ephemeral_key(
    locked: House, client: MakeClient, settings: bool
) -> None:
    secret = await client(KEY).realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
    )
    assert secret.session.type == "transcription"
    browser, inbox = Caller(Speech(spoken(["alpha"])), "oai-events"), Inbox()
    ephemeral = client(secret.value)
    offer = await browser.offer()
    if settings:
        answer = await ephemeral.realtime.calls.create(sdp=offer, session={"type": "realtime", "model": "any"})
    else:
        answer = await ephemeral.realtime.calls.create(sdp=offer)
    await browser.accept(answer.text)
    reading = asyncio.create_task(_read(browser, inbox))
    try:
        session = (await inbox.told("session.created"))["session"]
        assert session["type"] == ("realtime" if settings else "transcription")
        assert session["audio"]["input"]["transcription"]["model"] == "gpt-4o-transcribe"
        assert (await inbox.told(DELTA))["delta"] == "alpha"
        call = answer.response.headers["Location"].rpartition("/")[2]
        await ephemeral.realtime.calls.hangup(call)
        await until(lambda: locked.switchboard.live == 0)
    finally:
        await browser.close()
        await reading


async def test_errors_become_its_exceptions(client: MakeClient) -> None:
    with pytest.raises(openai.AuthenticationError) as wrong:
        await client("another-key").realtime.client_secrets.create()
    assert (wrong.value.code, wrong.value.type) == ("invalid_api_key", "invalid_request_error")
    with pytest.raises(openai.BadRequestError) as short:
        await client(KEY).realtime.client_secrets.create(expires_after={"seconds": 1})
    assert short.value.param == "expires_after.seconds"
    with pytest.raises(openai.NotFoundError):
        await client(KEY).realtime.calls.hangup("rtc_unknown")
    with pytest.raises(openai.BadRequestError):
        await client(KEY).realtime.calls.create(sdp="v=0")


async def _read(browser: Caller, inbox: Inbox) -> None:
    async for message in browser.messages():
        inbox.put(json.loads(message))
