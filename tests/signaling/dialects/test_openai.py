import base64
import json
from typing import Any

import pytest

from engine.events import Mark, Pause, Step, Word
from media.events import Digit
from signaling.commands import Audio, Clear, Command, Flush, MarkAt, Say
from signaling.dialects.native import LONG
from signaling.dialects.openai import APPEND_LIMIT, Realtime
from signaling.dialects.openai_session import Settings
from signaling.events import Ended, Entry, SessionEvent
from tests.signaling.dialects.conversation import golden, play

CONVERSATIONS = ["openai", "openai_commit", "openai_realtime", "openai_beta", "openai_refused", "openai_failed"]
BEGAN = 1_790_000_000.0
SILENCE = base64.b64encode(bytes(4_800)).decode()  # 0.1 s at 24 kHz


def language(settings: Settings | None = None, *, by_track: bool = False) -> Realtime:
    return Realtime(settings or Settings(), began=BEGAN, lasts=3_600.0, by_track=by_track)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_goes_as_written(name: str) -> None:
    written = golden(name)
    assert play(written.replace("SILENCE", SILENCE), language()).replace(SILENCE, "SILENCE") == written


def ask(dialect: Realtime, type: str, **fields: Any) -> tuple[list[Command], list[dict[str, Any]]]:
    """What a message asks of the session, and what it is answered."""
    commands = list(dialect.decode(json.dumps({"type": type, **fields})))
    said = [json.loads(str(command.message)) for command in commands if isinstance(command, Say)]
    return [command for command in commands if not isinstance(command, Say)], said


def tell(dialect: Realtime, *events: SessionEvent) -> list[dict[str, Any]]:
    """What the client is told of these."""
    messages = [message for seq, event in enumerate(events, 1) for message in dialect.encode(Entry(seq, event))]
    return [json.loads(str(message)) for message in messages]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].rpartition(".")[2] for event in events]


def without_turns() -> Settings:
    return Settings().updated({"audio": {"input": {"turn_detection": None}}})


def test_an_engine_without_steps_ends_a_turn_with_its_pause() -> None:
    assert types(tell(language(), Word("alpha", 0.5), Pause(0.9))) == [
        *("speech_started", "delta", "speech_stopped", "committed", "added", "done", "completed"),
    ]


def test_a_turn_that_is_committed_in_its_middle_is_one_item_and_the_rest_another() -> None:
    dialect = language()
    ask(dialect, "input_audio_buffer.append", audio=SILENCE * 4)
    started, *_ = tell(dialect, Word("alpha", 0.1))
    commands, said = ask(dialect, "input_audio_buffer.commit")
    assert commands == [MarkAt(1), Flush()]
    assert {event.get("item_id", started["item_id"]) for event in said} == {started["item_id"]}
    ask(dialect, "input_audio_buffer.append", audio=SILENCE)
    told = tell(dialect, Pause(0.3), Word("bravo", 0.35), Mark(1), Word("charlie", 0.45))
    assert types(told) == ["delta", "completed", "speech_started", "delta"]
    assert told[1]["transcript"] == "alpha bravo"
    assert told[1]["usage"] == {"type": "duration", "seconds": 0.4}
    assert told[2]["item_id"] != started["item_id"]


def detect(kind: str | None) -> dict[str, Any]:
    return {"audio": {"input": {"turn_detection": kind and {"type": kind}}}}


def test_what_is_being_said_when_turns_are_switched_on_is_a_turn() -> None:
    dialect = language(without_turns())
    ask(dialect, "input_audio_buffer.append", audio=SILENCE * 10)
    tell(dialect, Word("alpha", 0.5))
    _, said = ask(dialect, "session.update", session=detect("semantic_vad"))
    assert types(said) == ["updated", "speech_started"]
    *_, completed = told = tell(dialect, Pause(0.9))
    assert types(told) == ["speech_stopped", "committed", "added", "done", "completed"]
    assert (completed["item_id"], completed["transcript"]) == (said[1]["item_id"], "alpha")


def test_a_turn_does_not_reach_into_what_was_committed_before_turns_were_switched_on() -> None:
    dialect = language(without_turns())
    ask(dialect, "input_audio_buffer.append", audio=SILENCE * 10)
    ask(dialect, "input_audio_buffer.commit")
    tell(dialect, Mark(1))
    _, said = ask(dialect, "session.update", session=detect("server_vad"))
    assert types(said) == ["updated"]
    started, _ = tell(dialect, Word("alpha", 1.1))
    assert started["audio_start_ms"] == 1_000


def test_what_was_said_without_turns_stays_when_they_are_switched_off_and_on() -> None:
    dialect = language()
    ask(dialect, "input_audio_buffer.append", audio=SILENCE * 10)
    started, _ = tell(dialect, Word("alpha", 0.5))
    ask(dialect, "session.update", session=detect(None))
    assert types(tell(dialect, Pause(0.9), Word("bravo", 0.95))) == ["delta"]
    _, [_, again] = ask(dialect, "session.update", session=detect("server_vad"))
    assert again["item_id"] == started["item_id"]
    *_, completed = tell(dialect, Ended("finished"))
    assert completed["transcript"] == "alpha bravo"


def test_marks_that_nobody_asked_for_are_passed_over() -> None:
    assert tell(language(), Mark(7)) == []


def test_an_append_has_a_limit_and_changes_nothing_beyond_it() -> None:
    commands, [said] = ask(language(), "input_audio_buffer.append", audio="A" * (APPEND_LIMIT + 4), event_id="big")
    assert commands == []
    assert said["error"]["code"] == "string_above_max_length"
    assert said["error"]["event_id"] == "big"


def test_a_long_message_of_many_parts_is_refused_before_it_is_read() -> None:
    _, [said] = ask(language(), "session.update", session={"audio": [[] for _ in range(LONG // 4)]})
    assert said["error"]["code"] == "too_large"


def test_a_long_append_is_heard_in_slices() -> None:
    commands, said = ask(language(), "input_audio_buffer.append", audio=SILENCE * 50)
    assert said == []
    assert sum(len(command.pcm) for command in commands if isinstance(command, Audio)) == 120_000
    assert len(commands) == 25


def test_the_audio_of_a_call_comes_by_its_track() -> None:
    dialect = language(without_turns(), by_track=True)
    commands, [refused] = ask(dialect, "input_audio_buffer.append", audio=SILENCE)
    assert commands == []
    assert refused["error"]["code"] == "unsupported_event"
    assert types(ask(dialect, "input_audio_buffer.commit")[1]) == ["error"]
    dialect.hear(0.2)
    commands, said = ask(dialect, "input_audio_buffer.commit")
    assert commands == [MarkAt(1), Flush()]
    assert types(said) == ["committed", "added", "done"]


def test_a_key_of_a_telephone_has_the_time_at_which_it_was_let_go_and_no_id() -> None:
    assert tell(language(), Digit("#", 10.0, 0.5)) == [
        {"type": "input_audio_buffer.dtmf_event_received", "event": "#", "received_at": 1_790_000_010}
    ]


def test_a_flush_does_not_make_the_engine_seem_further_than_the_audio() -> None:
    dialect = language()
    ask(dialect, "input_audio_buffer.append", audio=SILENCE * 5)  # half a second
    told = tell(dialect, Step(0, (), 0.4), Word("alpha", 0.1), Pause(0.2), *[Step(0, (), 0.0)] * 30)
    assert types(told) == ["speech_started", "delta"]
    ask(dialect, "input_audio_buffer.append", audio=SILENCE * 3)
    assert "speech_stopped" in types(tell(dialect, *[Step(0, (), 0.0)] * 3))


def test_what_waits_for_the_engine_is_not_counted_as_silence() -> None:
    dialect = language()
    ask(dialect, "input_audio_buffer.append", audio=SILENCE * 50)
    told = tell(dialect, Word("alpha", 0.1), *[Step(0, (), 4.5)] * 20, Pause(0.2))
    assert types(told) == ["speech_started", "delta"]


def test_what_is_said_while_audio_is_cleared_is_not_told() -> None:
    dialect = language()
    ask(dialect, "input_audio_buffer.append", audio=SILENCE)
    started, _ = tell(dialect, Word("alpha", 0.0))
    commands, said = ask(dialect, "input_audio_buffer.clear")
    assert commands == [Clear(), MarkAt(1)]
    assert types(said) == ["cleared"]
    told = tell(dialect, Word("stale", 0.05), Mark(1), Word("bravo", 0.2))
    assert types(told) == ["speech_started", "delta"]
    assert told[1]["delta"] == "bravo"
    assert told[0]["item_id"] != started["item_id"]


@pytest.mark.parametrize("reason", ["idle", "max_session", "drain"])
def test_an_end_by_the_server_completes_what_was_said_and_is_told(reason: str) -> None:
    told = tell(language(), Word("alpha", 0.5), Ended(reason))
    assert types(told)[-2:] == ["completed", "error"]
    assert told[-2]["transcript"] == "alpha"


@pytest.mark.parametrize("reason", ["bye", "lost"])
def test_who_has_left_is_told_nothing(reason: str) -> None:
    dialect = language()
    tell(dialect, Word("alpha", 0.5))
    assert tell(dialect, Ended(reason)) == []


def test_who_has_been_told_why_is_not_told_twice() -> None:
    dialect = language()
    [said] = dialect.error("too_large", "A message may have 16777216 bytes.")
    assert json.loads(str(said))["error"]["type"] == "invalid_request_error"
    assert tell(dialect, Ended("too_large")) == []


def test_a_full_house_is_told_as_a_fault_of_the_server() -> None:
    [said] = language().error("busy", "All lines are busy.")
    assert json.loads(str(said))["error"] == {
        "message": "All lines are busy.",
        "type": "server_error",
        "param": None,
        "code": "busy",
        "event_id": None,
    }


def test_the_newest_items_can_be_asked_for_again() -> None:
    dialect = language()
    told = [event for n in range(40) for event in tell(dialect, Word(f"word{n}", float(n)), Pause(n + 0.5))]
    ids = [event["item_id"] for event in told if event["type"].endswith("completed")]
    _, [first] = ask(dialect, "conversation.item.retrieve", item_id=ids[0])
    _, [last] = ask(dialect, "conversation.item.retrieve", item_id=ids[-1])
    assert first["type"] == "error"
    assert last["item"]["content"] == [{"type": "input_audio", "transcript": "word39"}]
