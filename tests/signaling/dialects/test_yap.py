import base64
import json

import pytest

from engine.base import s16_from_pcm
from engine.events import Partial, Word
from engine.scripted import tone
from engine.wire import MESSAGE_LIMIT
from signaling.commands import Audio
from signaling.dialects.yap import Yap
from signaling.errors import TooLarge
from signaling.events import Ended, Entry
from tests.signaling.dialects.conversation import golden, play


@pytest.mark.parametrize("name", ["yap", "yap_silent", "yap_refused", "yap_failed"])
def test_a_conversation_goes_as_written(name: str) -> None:
    assert play(golden(name), Yap()) == golden(name)


def test_a_full_house_is_told_in_the_words_that_clients_look_for() -> None:
    assert Yap().error("busy", "All lines are busy.") == ['{"type":"Error","message":"no free channels"}']


@pytest.mark.parametrize("reason", ["bye", "lost"])
def test_who_has_left_is_told_nothing(reason: str) -> None:
    dialect = Yap()
    dialect.decode('{"type":"StartSTT"}')
    assert dialect.encode(Entry(1, Ended(reason))) == []


@pytest.mark.parametrize("reason", ["idle", "max_session", "drain"])
def test_a_session_that_the_server_ends_is_final_too(reason: str) -> None:
    dialect = Yap()
    dialect.decode('{"type":"StartSTT"}')
    assert dialect.encode(Entry(1, Ended(reason))) == ['{"type":"Final","text":""}']


def test_a_session_that_never_began_has_no_final() -> None:
    assert Yap().encode(Entry(1, Ended("idle"))) == []


def test_a_tail_that_only_looks_like_the_settled_word_is_not_cut() -> None:
    dialect = Yap()
    dialect.encode(Entry(1, Partial("alphabet soup")))
    _, partial = dialect.encode(Entry(2, Word("alpha", 0.0)))
    assert json.loads(str(partial)) == {"type": "Partial", "text": "alpha"}


def test_a_message_may_hold_seconds_of_audio() -> None:
    dialect = Yap()
    dialect.decode('{"type":"StartSTT"}')
    pcm = tone("alpha", seconds=10.0)
    text = base64.b64encode(s16_from_pcm(pcm)).decode()
    [audio] = dialect.decode(json.dumps({"type": "Audio", "audio": text}))
    assert isinstance(audio, Audio)
    assert len(audio.pcm) == len(pcm)


def test_a_message_has_a_limit() -> None:
    with pytest.raises(TooLarge):
        Yap().decode("x" * (MESSAGE_LIMIT + 1))


def test_a_long_message_of_many_parts_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge, match="Only a message of audio"):
        Yap().decode(json.dumps({"type": "StartSTT", "more": [0] * 100_000}))
