import json

import numpy as np
import pytest

from engine.base import SAMPLE_RATE
from media.errors import BadMedia
from signaling.commands import Audio, Finish, Say
from signaling.dialects.token import Format, Token
from signaling.errors import BadAudio, BadMessage
from signaling.events import Ended, Entry
from tests.media import oggs
from tests.signaling.dialects.conversation import golden, play

CONVERSATIONS = [
    ("token_f32", Token()),
    ("token_vad", Token(vad=True)),
    ("token_f32_refused", Token()),
    ("token_failed", Token()),
    ("token_s16", Token("s16")),
    ("token_s16_silent", Token("s16")),
    ("token_s16_refused", Token("s16")),
    ("token_s16_failed", Token("s16")),
]


@pytest.mark.parametrize(("name", "dialect"), CONVERSATIONS, ids=[name for name, _ in CONVERSATIONS])
def test_a_conversation_goes_as_written(name: str, dialect: Token) -> None:
    assert play(golden(name), dialect) == golden(name)


def heard(dialect: Token, *messages: bytes) -> float:
    """Seconds of audio in the messages, which must follow each other without a hole."""
    seconds = 0.0
    for message in messages:
        for audio in dialect.decode(message):
            assert isinstance(audio, Audio)
            assert audio.start == pytest.approx(seconds)
            seconds += len(audio.pcm) / SAMPLE_RATE
    return seconds


@pytest.mark.parametrize("format", ["f32", "s16"])
@pytest.mark.parametrize("cut", [4, 27, 700, 1 << 20])
def test_ogg_opus_is_known_by_its_first_bytes_and_may_be_cut_anywhere(format: Format, cut: int) -> None:
    stream = b"".join(oggs.stream(seconds=1.0))
    pieces = [stream[at : at + cut] for at in range(0, len(stream), cut)]
    assert heard(Token(format), *pieces) == pytest.approx(1.0, abs=0.1)


def test_one_message_of_ogg_opus_is_decoded_as_it_is_heard() -> None:
    audio = list(Token().decode(b"".join(oggs.stream(seconds=5.0))))
    assert len(audio) > 4


def test_ogg_opus_may_end_with_the_three_bytes() -> None:
    dialect = Token()
    heard(dialect, *oggs.stream(seconds=0.2))
    assert list(dialect.decode(b"EOS")) == [Finish()]


def test_a_damaged_ogg_stream_is_refused() -> None:
    dialect = Token()
    with pytest.raises(BadMedia):
        heard(dialect, b"OggS" + bytes(100))


def test_samples_before_ogg_opus_are_samples_to_the_end() -> None:
    dialect = Token()
    heard(dialect, bytes(8))
    with pytest.raises(BadAudio):
        heard(dialect, b"OggSOggS")


def test_a_url_asks_for_a_format_and_for_pauses() -> None:
    s16 = Token.asked({"format": "s16", "vad": "1"})
    seconds = [list(s16.decode(np.zeros(SAMPLE_RATE, "<i2").tobytes())) for _ in range(10)]
    assert [type(command) for command in seconds[-1]] == [Audio, Say]
    assert json.loads(str(s16.error("x", "why")[0])) == {"error": "why"}
    assert json.loads(str(Token.asked({}).error("x", "why")[0])) == {"type": "error", "message": "why"}
    assert json.loads(str(Token.asked({}, "s16").error("x", "why")[0])) == {"error": "why"}
    assert json.loads(str(Token.asked({"format": "f32"}, "s16").error("x", "why")[0])) == {
        "type": "error",
        "message": "why",
    }


def test_another_format_is_refused() -> None:
    with pytest.raises(BadMessage, match=r"f32 or s16"):
        Token.asked({"format": "mp3"})


@pytest.mark.parametrize("format", ["f32", "s16"])
def test_an_end_that_nobody_asked_for_completes_nothing(format: Format) -> None:
    assert Token(format).encode(Entry(1, Ended("idle"))) == []
