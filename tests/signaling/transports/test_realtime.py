"""OpenAI's socket on a running server."""

import asyncio
import base64
import contextlib

import aiohttp
import pytest

from signaling.dialects.openai import MESSAGE_LIMIT
from tests.signaling.house import House, OpenHouse, until
from tests.signaling.openai_clients import COMPLETED, DELTA, KEY, MANUAL, QUIET, Talk


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("", "transcription"),
        ("?intent=transcription", "transcription"),
        ("?intent=transcription&model=gpt-4o-transcribe", "transcription"),
        ("?model=gpt-realtime", "realtime"),
        ("?intent=conversation&model=no-such-model", "realtime"),
    ],
)
async def test_every_intent_and_model_is_let_in(house: House, query: str, kind: str) -> None:
    talk = await Talk.at(house, query)
    created = await talk.until("session.created")
    assert created["session"]["type"] == kind
    await talk.send(
        "session.update", session={"type": "realtime", "audio": {"input": {"transcription": {"model": "x"}}}}
    )
    updated = await talk.until("session.updated")
    assert updated["session"]["id"] == created["session"]["id"]


async def test_words_are_told_while_they_are_said_and_turns_when_they_are_over(house: House) -> None:
    talk = await Talk.at(house)
    await talk.speak("alpha", "bravo")
    await talk.until(COMPLETED)
    await talk.speak("charlie")
    await talk.until(COMPLETED)
    assert [event["delta"] for event in talk.of(DELTA)] == ["alpha", " bravo", "charlie"]
    assert [event["transcript"] for event in talk.of(COMPLETED)] == ["alpha bravo", "charlie"]
    first, second = talk.of("input_audio_buffer.committed")
    assert (first["previous_item_id"], second["previous_item_id"]) == (None, first["item_id"])
    starts = [event["audio_start_ms"] for event in talk.of("input_audio_buffer.speech_started")]
    assert starts == [pytest.approx(0, abs=100), pytest.approx(2_620 - 300, abs=200)]
    ids = [event["event_id"] for event in talk.told]
    assert len(set(ids)) == len(ids)


async def test_a_commit_brings_the_last_word_at_once(house: House) -> None:
    talk = await Talk.at(house)
    await talk.send("session.update", session=MANUAL)
    await talk.speak("alpha", "bravo", quiet=QUIET[:0])
    await talk.send("input_audio_buffer.commit")
    completed = await talk.until(COMPLETED)
    assert completed["transcript"] == "alpha bravo"
    assert completed["usage"] == {"type": "duration", "seconds": 1.12}
    await talk.speak("charlie", quiet=QUIET[:0])
    await talk.send("input_audio_buffer.commit")
    assert (await talk.until(COMPLETED))["transcript"] == "charlie"


async def test_a_caller_who_speaks_on_while_committing_loses_nothing(house: House) -> None:
    talk = await Talk.at(house)
    await talk.send("session.update", session=MANUAL)
    for word in ("alpha", "bravo", "charlie"):
        await talk.speak(word, quiet=QUIET[:0])
        await talk.send("input_audio_buffer.commit")
    await talk.speak("delta", quiet=QUIET[:0])
    await talk.send("input_audio_buffer.clear")
    await talk.speak("echo", quiet=QUIET[:0])
    await talk.send("input_audio_buffer.commit")
    while len(talk.of(COMPLETED)) < 4:
        await talk.until(COMPLETED)
    assert [event["transcript"] for event in talk.of(COMPLETED)] == ["alpha", "bravo", "charlie", "echo"]


async def test_an_error_changes_nothing(house: House) -> None:
    talk = await Talk.at(house)
    await talk.send("response.create", event_id="mine")
    await talk.socket.send_str("{")
    await talk.socket.send_bytes(b"\0")
    await talk.speak("alpha")
    assert (await talk.until(COMPLETED))["transcript"] == "alpha"
    assert [event["error"]["event_id"] for event in talk.of("error")] == ["mine", None, None]


async def test_a_browser_shows_its_key_as_a_subprotocol(open_house: OpenHouse) -> None:
    house = await open_house(keys=(KEY,))
    protocols = ("realtime", f"openai-insecure-api-key.{KEY}", "openai-agents-sdk.0.20.0")
    talk = await Talk.at(house, protocols=protocols)
    assert talk.socket.protocol == "realtime"
    await talk.until("session.created")
    await talk.socket.close()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Talk.at(house, protocols=("realtime", "openai-insecure-api-key.another-key"))
    assert refused.value.status == 401


async def test_what_is_refused_before_the_upgrade_is_told_in_openais_shape(open_house: OpenHouse) -> None:
    house = await open_house(keys=(KEY,))
    async with house.http.get(f"{house.url}/v1/realtime", headers={"Authorization": "Bearer wrong"}) as response:
        assert response.status == 401
        assert (await response.json())["error"]["code"] == "invalid_api_key"
    right = {"Authorization": f"Bearer {KEY}"}
    async with house.http.get(f"{house.url}/v1/realtime", headers=right) as response:
        assert response.status == 426
        assert (await response.json())["error"]["type"] == "invalid_request_error"
    async with house.http.get(f"{house.url}/v1/realtime?call_id=rtc_1", headers=right) as response:
        assert response.status == 400
        assert (await response.json())["error"]["param"] == "call_id"


async def test_a_full_house_is_told_and_closes(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    first = await Talk.at(house)
    await first.until("session.created")
    second = await Talk.at(house)
    assert (await second.until("error"))["error"]["code"] == "busy"
    assert await second.next() is None
    assert second.socket.close_code == 1013
    await first.socket.close()
    await until(lambda: house.switchboard.live == 0)


async def test_a_message_may_hold_minutes_and_no_more(house: House) -> None:
    talk = await Talk.at(house)
    await talk.send("session.update", session=MANUAL)
    await talk.send("input_audio_buffer.append", audio=base64.b64encode(bytes(30 * 48_000)).decode())
    await talk.send("input_audio_buffer.clear")
    await talk.until("input_audio_buffer.cleared")
    with contextlib.suppress(ConnectionError):  # it is refused before all of it has come
        await talk.socket.send_str(" " * (MESSAGE_LIMIT + 1))
    await until(lambda: house.figure("offhook_sessions_ended_total", reason="too_large") == 1)
    await until(lambda: house.switchboard.live == 0)


async def test_the_longest_session_ends_with_its_last_words(open_house: OpenHouse) -> None:
    house = await open_house(max_session=0.5)
    talk = await Talk.at(house)
    await talk.speak("alpha", quiet=QUIET[:0])
    assert (await talk.until(COMPLETED))["transcript"] == "alpha"
    assert (await talk.until("error"))["error"]["code"] == "session_expired"
    assert await talk.next() is None
    assert talk.socket.close_code == 1000


async def test_an_end_of_the_server_completes_what_was_said(open_house: OpenHouse) -> None:
    house = await open_house()
    talk = await Talk.at(house)
    await talk.speak("alpha", quiet=QUIET[:0])
    await talk.until("input_audio_buffer.speech_started")
    draining = asyncio.create_task(house.switchboard.drain())
    assert (await talk.until(COMPLETED))["transcript"] == "alpha"
    assert (await talk.until("error"))["error"]["code"] == "draining"
    assert await talk.next() is None
    await draining
