"""A file's transcript in OpenAI's language. Pure.

    json          {"text", "usage"}
    verbose_json  {"task", "language", "duration", "text", "segments"?, "words"?, "usage"}
    text, srt, vtt

A stream is server-sent events, each one line of JSON: transcript.text.delta for each word, transcript.text.segment for
each segment where times were asked for (verbose_json), and at the end transcript.text.done, or an error.

Of a segment's fields the engines know its times and text. The others are there because typed clients need them:
compression_ratio is worked out as Whisper does; tokens is empty; seek, temperature, avg_logprob and no_speech_prob are
0, with which clients keep the segment. The language is the engine's where it has but one, else what the form says, or
"unknown".
"""

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.events import Word
from signaling.captions import SRT_TYPE, VTT_TYPE
from signaling.dialects.native import dumps
from signaling.dialects.openai_form import Asked, Format
from signaling.errors import sentence, wire_error
from signaling.events import Entry
from signaling.openai_errors import fields as error_fields
from signaling.segments import Segment
from signaling.transcription import Recorder, Transcript, as_srt, as_text, as_vtt

CONTENT_TYPES: dict[Format, str] = {
    "json": "application/json",
    "text": "text/plain",
    "srt": SRT_TYPE,
    "vtt": VTT_TYPE,
    "verbose_json": "application/json",
}
STREAM_TYPE = "text/event-stream"
PLACES = 3  # of a second


def write(asked: Asked, transcript: Transcript) -> str:
    """The answer that is no stream."""
    match asked.format:
        case "json":
            return dumps({"text": transcript.text, "usage": _usage(transcript)})
        case "verbose_json":
            return dumps(_verbose(asked, transcript))
        case "text":
            return as_text(transcript)
        case "srt":
            return as_srt(transcript)
        case "vtt":
            return as_vtt(transcript)


class FileTeller:
    """A file's stream, as it is heard."""

    content_type = STREAM_TYPE
    idle = ": still here\n\n"

    def __init__(self, asked: Asked, seconds: Callable[[], float]) -> None:
        self._recorder = Recorder()
        self._seconds = seconds
        self._with_segments = asked.format == "verbose_json"
        self._space = ""

    def open(self) -> str:
        return ""

    def tell(self, entry: Entry | None) -> str:
        """The delta of a word, and the segment before it if it completed one."""
        if entry is None:
            return ""
        segments = self._segments(self._recorder.hear(entry.event, self._seconds()))
        return segments + (self._delta(entry.event.text) if isinstance(entry.event, Word) else "")

    def close(self) -> str:
        """The last segment, and the whole text."""
        last = self._segments(self._recorder.finish(self._seconds()))
        return last + _line({"type": "transcript.text.done", "text": self._recorder.text})

    def fail(self, error: Exception) -> str:
        """The rest cannot be told, and why."""
        known = wire_error(error)
        return _line({"type": "error", "error": error_fields(known.status, known.code, sentence(error))})

    def _delta(self, word: str) -> str:
        if not (text := " ".join(word.split())):
            return ""
        delta, self._space = self._space + text, " "
        return _line({"type": "transcript.text.delta", "delta": delta})

    def _segments(self, segments: Sequence[Segment]) -> str:
        if not self._with_segments:
            return ""
        return "".join(
            _line(
                {
                    "type": "transcript.text.segment",
                    "id": f"seg_{segment.id}",
                    **_times(segment.start, segment.stop),
                    "text": segment.text,
                    "speaker": "",
                }
            )
            for segment in segments
        )


def _verbose(asked: Asked, transcript: Transcript) -> dict[str, Any]:
    told: dict[str, Any] = {
        "task": "transcribe",
        "language": asked.language or "unknown",
        "duration": _rounded(transcript.duration),
        "text": transcript.text,
    }
    if "segment" in asked.granularities:
        told["segments"] = [_segment(segment) for segment in transcript.segments]
    if "word" in asked.granularities:
        told["words"] = [{"word": word.text, **_times(word.start, word.stop)} for word in transcript.words]
    return {**told, "usage": _usage(transcript)}


def _segment(segment: Segment) -> dict[str, Any]:
    text = segment.text.encode("utf-8", "replace")
    return {
        "id": segment.id,
        "seek": 0,
        **_times(segment.start, segment.stop),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": 0.0,
        "compression_ratio": _rounded(len(text) / len(zlib.compress(text))),
        "no_speech_prob": 0.0,
    }


def _times(start: float, stop: float) -> dict[str, float]:
    return {"start": _rounded(start), "end": _rounded(stop)}


def _usage(transcript: Transcript) -> dict[str, Any]:
    """Whole seconds, as OpenAI counts them."""
    return {"type": "duration", "seconds": math.ceil(_rounded(transcript.duration))}


def _rounded(seconds: float) -> float:
    return round(seconds, PLACES)


def _line(event: Mapping[str, Any]) -> str:
    """ASCII, because some clients take U+2028 and its like for the end of a line."""
    return f"data: {json.dumps(event, separators=(',', ':'))}\n\n"
