import ast
from collections.abc import Sequence
from typing import cast

import msgpack
import numpy as np
import pytest

from engine.base import SAMPLE_RATE
from engine.events import Mark, Step, Word, WordEnd
from engine.verbs import Audio as Samples
from engine.wire import (
    WINDOW,
    Failure,
    Fed,
    Init,
    OggOpus,
    Ready,
    Reply,
    decode_reply,
    decode_request,
    encode,
)
from signaling.commands import Audio, Command, Parting, Say
from signaling.dialects.moshi import Moshi
from signaling.errors import ENDINGS
from signaling.events import Ended, Entry
from tests.media import oggs
from tests.signaling.dialects.conversation import golden, play

CONVERSATIONS = ("moshi", "moshi_ours", "moshi_refused", "moshi_ours_refused")
SECOND = np.zeros(SAMPLE_RATE, np.float32)


def ours(backlog: float = 0.0) -> Moshi:
    """The language of a client that has chosen our own."""
    dialect = Moshi()
    assert list(dialect.decode(encode(Init(backlog=backlog)))) == []
    return dialect


def told(messages: Sequence[str | bytes]) -> list[Reply]:
    return [decode_reply(cast(bytes, message)) for message in messages]


def answers(commands: Sequence[Command]) -> list[Reply]:
    return told([command.message for command in commands if isinstance(command, Say)])


def lines(name: str, kind: str) -> list[str]:
    return [line[2:] for line in golden(name).splitlines() if line.startswith(f"{kind} b")]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_goes_as_written(name: str) -> None:
    assert play(golden(name), Moshi()) == golden(name)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_our_own_client_reads_every_answer(name: str) -> None:
    for line in lines(name, "<"):
        decode_reply(ast.literal_eval(line))


@pytest.mark.parametrize("name", ["moshi", "moshi_ours"])
def test_what_clients_send_is_what_our_own_client_would_send(name: str) -> None:
    """The other direction: a request that is read and written again says the same."""
    for line in lines(name, ">"):
        data = ast.literal_eval(line)
        request = decode_request(data)
        if isinstance(request, Init | Samples | OggOpus):  # which have more than one form
            continue
        assert encode(request) == data


def test_ready_offers_our_own_language_beside_moshi_servers() -> None:
    [ready] = Moshi().ready("a-session")
    assert msgpack.unpackb(ready) == {"type": "Ready", "offhook": 1}
    assert told([ready]) == [Ready()]


def test_a_full_house_is_told_as_moshi_server_tells_it() -> None:
    [message] = Moshi().error("busy", "All lines are busy; please try again in a few seconds.")
    assert msgpack.unpackb(message) == {"type": "Error", "message": "no free channels"}


def test_ogg_opus_is_heard() -> None:
    dialect = Moshi()
    heard = [command for page in oggs.stream(1.0) for command in dialect.decode(encode(OggOpus(page), plain=True))]
    pieces = [command for command in heard if isinstance(command, Audio)]
    assert sum(len(piece.pcm) for piece in pieces) == pytest.approx(SAMPLE_RATE, abs=960)
    assert max(float(np.abs(piece.pcm).max()) for piece in pieces) > 0.1


@pytest.mark.parametrize("reason", ["bye", "lost"])
def test_who_has_left_is_told_nothing(reason: str) -> None:
    assert Moshi().encode(Entry(1, Ended(reason))) == []


@pytest.mark.parametrize("reason", ["idle", "max_session", "no_speech"])
def test_a_session_that_the_server_ends_says_why(reason: str) -> None:
    [message] = Moshi().encode(Entry(1, Ended(reason)))
    assert msgpack.unpackb(message) == {"type": "Error", "message": f"The session has ended: {reason}."}


@pytest.mark.parametrize("reason", ENDINGS)
def test_a_failure_is_told_by_its_title(reason: str) -> None:
    [message] = Moshi().encode(Entry(1, Ended(reason)))
    assert msgpack.unpackb(message) == {"type": "Error", "message": f"{ENDINGS[reason].title}."}


@pytest.mark.parametrize(
    ("reason", "code"), [("engine_down", "unavailable"), ("drain", "unavailable"), ("slow_reader", "overrun")]
)
def test_our_own_client_learns_which_kind_of_failure_it_was(reason: str, code: str) -> None:
    [failure] = told(ours().encode(Entry(1, Ended(reason))))
    assert failure == Failure(f"{ENDINGS[reason].title}.", code)


def test_a_word_without_an_end_has_one_when_the_session_fails() -> None:
    dialect = Moshi()
    list(dialect.decode(encode(Samples(SECOND))))
    dialect.encode(Entry(1, Word("hello", 0.9)))
    end, failure = told(dialect.encode(Entry(2, Ended("engine_down"))))
    assert isinstance(end, WordEnd)
    assert isinstance(failure, Failure)


def test_all_audio_is_told_as_taken_while_nothing_tells_how_far_the_engine_is() -> None:
    dialect = ours()
    fed = [answers(list(dialect.decode(encode(Samples(SECOND))))) for _ in range(3)]
    assert fed == [[Fed(24_000)], [Fed(48_000)], [Fed(72_000)]]


def test_a_client_is_kept_as_close_to_the_engine_as_it_asked_for() -> None:
    dialect = ours(backlog=1.0)
    ahead = SAMPLE_RATE + WINDOW
    list(dialect.decode(encode(Samples(SECOND))))
    assert Fed not in map(type, told(dialect.encode(Entry(1, Step(0, (), 1.0)))))  # nothing of it has been heard
    assert answers(list(dialect.decode(encode(Samples(SECOND))))) == [Fed(ahead)]
    assert answers(list(dialect.decode(encode(Samples(SECOND))))) == []
    assert told(dialect.encode(Entry(2, Step(1, (), 2.92))))[1:] == [Fed(ahead + 1_920)]
    assert told(dialect.encode(Entry(3, Step(2, (), 0.0))))[1:] == [Fed(72_000)]


@pytest.mark.parametrize("backlog", [-1.0, 1e300])
def test_any_backlog_can_be_asked_for(backlog: float) -> None:
    assert answers(list(ours(backlog).decode(encode(Samples(SECOND))))) == [Fed(24_000)]


def test_a_client_may_leave_at_its_first_marker() -> None:
    dialect = Moshi()
    markers = [message for id in (1, 2) for message in dialect.encode(Entry(id, Mark(id)))]
    assert [isinstance(marker, Parting) for marker in markers] == [True, False]
    assert markers == [encode(Mark(1)), encode(Mark(2))]
    assert not any(isinstance(marker, Parting) for marker in ours().encode(Entry(1, Mark(1))))
