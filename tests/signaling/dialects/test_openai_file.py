"""A file's transcript as OpenAI's clients read it."""

import json
from typing import Any

import pytest

from engine.events import Pause, Word, WordEnd
from signaling.captions import Spoken
from signaling.dialects.openai_file import FileTeller, write
from signaling.dialects.openai_form import Asked, Format
from signaling.errors import BadFile
from signaling.events import Entry, SessionEvent
from signaling.segments import Segment
from signaling.transcription import Transcript

SAID = Transcript(
    (
        Segment(0, (Spoken("Ever", 0.5, 0.75), Spoken("tried.", 0.75, 1.25))),
        Segment(1, (Spoken("Échoué.", 2.0, 2.50049),)),
    ),
    3.0004,
)
EVENTS: tuple[SessionEvent, ...] = (
    *(Word("Ever", 0.5), WordEnd(0.75), Word("tried.", 0.75), Pause(1.25)),
    *(Word("\u2028", 1.5), Word("Échoué.", 2.0)),
)


def written(format: Format, *granularities: str, language: str = "") -> Any:
    return json.loads(write(Asked(format, frozenset(granularities), language=language), SAID))


def test_json_is_the_text_and_the_seconds() -> None:
    assert write(Asked(), SAID) == '{"text":"Ever tried. Échoué.","usage":{"type":"duration","seconds":3}}'


def test_seconds_are_counted_whole() -> None:
    text = write(Asked(), Transcript((), 3.2))
    assert text == '{"text":"","usage":{"type":"duration","seconds":4}}'


def test_verbose_json_has_the_times_that_are_asked_for() -> None:
    told = written("verbose_json", "word")
    assert told == {
        "task": "transcribe",
        "language": "unknown",
        "duration": 3.0,
        "text": "Ever tried. Échoué.",
        "words": [
            {"word": "Ever", "start": 0.5, "end": 0.75},
            {"word": "tried.", "start": 0.75, "end": 1.25},
            {"word": "Échoué.", "start": 2.0, "end": 2.5},
        ],
        "usage": {"type": "duration", "seconds": 3},
    }
    assert set(written("verbose_json", "word", "segment")) - set(told) == {"segments"}
    assert written("verbose_json", language="fr")["language"] == "fr"


def test_a_segment_has_every_field_with_a_value_that_keeps_it() -> None:
    _, segment = written("verbose_json", "segment")["segments"]
    assert segment.pop("compression_ratio") < 2.4
    assert segment == {
        "id": 1,
        "seek": 0,
        "start": 2.0,
        "end": 2.5,
        "text": "Échoué.",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": 0.0,
        "no_speech_prob": 0.0,
    }


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("text", "Ever tried. Échoué.\n"),
        (
            "srt",
            "1\n00:00:00,500 --> 00:00:01,250\nEver tried.\n\n2\n00:00:02,000 --> 00:00:02,700\nÉchoué.\n\n",
        ),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nEver tried.\n\n00:00:02.000 --> 00:00:02.700\nÉchoué.\n\n",
        ),
    ],
)
def test_what_is_no_json_is_plain(format: Format, text: str) -> None:
    assert write(Asked(format), SAID) == text


# Streams


def streamed(format: Format, *events: SessionEvent) -> list[dict[str, Any]]:
    """What a stream tells, up to its end."""
    feed = FileTeller(Asked(format, stream=True), lambda: 3.0)
    text = feed.open() + "".join(feed.tell(Entry(seq, event)) for seq, event in enumerate(events)) + feed.close()
    assert text.isascii(), "no letter can be taken for the end of a line"
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n")[:-1]]


def test_the_deltas_are_the_text() -> None:
    *deltas, done = streamed("json", *EVENTS)
    assert {delta["type"] for delta in deltas} == {"transcript.text.delta"}
    assert [delta["delta"] for delta in deltas] == ["Ever", " tried.", " Échoué."]
    assert done == {"type": "transcript.text.done", "text": "Ever tried. Échoué."}


def test_segments_come_where_times_are_asked_for() -> None:
    told = streamed("verbose_json", *EVENTS)
    assert [event["type"].rpartition(".")[2] for event in told] == [
        *("delta", "delta", "segment", "delta", "segment", "done")
    ]
    assert told[2] == {
        "type": "transcript.text.segment",
        "id": "seg_0",
        "start": 0.5,
        "end": 1.25,
        "text": "Ever tried.",
        "speaker": "",
    }


def test_silence_is_done_at_once() -> None:
    assert streamed("text", Pause(1.0)) == [{"type": "transcript.text.done", "text": ""}]


def test_an_error_is_told_as_clients_raise_it() -> None:
    line = FileTeller(Asked(), lambda: 3.0).fail(BadFile("damaged", "The file is damaged."))
    assert json.loads(line.removeprefix("data: ")) == {
        "type": "error",
        "error": {"message": "The file is damaged.", "type": "invalid_request_error", "param": None, "code": "damaged"},
    }
