"""Files in Transcodio's language: a JSON object, or server-sent events while the file is heard. Pure.

    metadata{language, duration}  heard{seconds, duration}…  progress{id, start, end, text, words}…
    complete{text, audio_session_id, audio_url, duration}  or  error{error, code}

Transcodio's own are metadata, progress, complete, minutes_error and error, with the fields it knows, one line of JSON
each and CRLF at line ends; its clients ignore what we add. What it offers and we do not is said: `warning{option,
warning}` after the metadata, and `minutes_error{error}` where it tells of minutes, after `complete`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from signaling.captions import Spoken
from signaling.events import SessionEvent
from signaling.segments import Segment
from signaling.transcription import Recorder, Transcript

CONTENT_TYPE = "text/event-stream"
PING = ": ping\r\n\r\n"
HEARD_EVERY = 0.5  # seconds between two `heard`
PLACES = 3  # of a second
UNDETERMINED = "und"  # as ISO 639 has it, of an engine that hears several languages and does not tell which
TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})  # as Transcodio's forms are read

NO_SPEAKERS = "Speakers are not told apart here: the segments come without them."
NO_MINUTES = "Minutes are not written here: the transcript comes without them."


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form asks for that there is only at Transcodio."""

    diarization: bool = False
    minutes: bool = False

    @classmethod
    def read(cls, fields: Mapping[str, Sequence[str]]) -> "Asked":
        """From a form's fields; the last of each name counts."""
        return cls(*(_is_true(fields.get(name, ())) for name in ("enable_diarization", "enable_minutes")))

    @property
    def warnings(self) -> list[str]:
        """What it does not get, in sentences."""
        return [text for asked, text in ((self.diarization, NO_SPEAKERS), (self.minutes, NO_MINUTES)) if asked]


def answer(transcript: Transcript, language: str, asked: Asked) -> str:
    """A whole file as one JSON object."""
    fields: dict[str, Any] = {
        "text": transcript.text,
        "language": language,
        "segments": [{**_segment(segment), "speaker": None} for segment in transcript.segments],
        "duration": _rounded(transcript.duration),
        "words": _words(transcript.words),
    }
    return _dumps(fields | ({"warnings": asked.warnings} if asked.warnings else {}))


class Telling:
    """One file in server-sent events; texts may be empty. `language`: a code of ISO 639. Times `now` are seconds of any
    one clock."""

    def __init__(self, language: str, asked: Asked) -> None:
        self._language = language
        self._asked = asked
        self._said = Recorder()
        self._told = 0.0  # seconds that the client knows to have been heard
        self._told_at = 0.0

    def open(self, duration: float | None, now: float) -> str:
        """How it begins. `duration`: in seconds, as the file tells it."""
        self._told_at = now
        fields = {"language": self._language, "duration": None if duration is None else _rounded(duration)}
        warning = {"option": "enable_diarization", "warning": NO_SPEAKERS}
        return _event("metadata", fields) + (_event("warning", warning) if self._asked.diarization else "")

    def progress(self, event: SessionEvent, seconds: float) -> str:
        """An event, when so many seconds of the file were read."""
        return _progress(self._said.hear(event, seconds))

    def heard(self, seconds: float, duration: float | None, now: float) -> str:
        """So many seconds were transcribed, of so many as far as that is known."""
        if seconds <= self._told or now - self._told_at < HEARD_EVERY:
            return ""
        self._told, self._told_at = seconds, now
        whole = None if duration is None else _rounded(max(seconds, duration))
        return _event("heard", {"seconds": _rounded(seconds), "duration": whole})

    def complete(self, seconds: float, audio: str | None, url: str | None) -> str:
        """The end of a file of so many seconds. `audio`: the id that it can be played by, and `url` where. The words of
        an hour would make a line that is longer than many clients read, and have been told."""
        last = _progress(self._said.finish(seconds))
        fields = {
            "text": self._said.text,
            "audio_session_id": audio,
            "audio_url": url,
            "duration": _rounded(seconds),
        }
        minutes = _event("minutes_error", {"error": NO_MINUTES}) if self._asked.minutes else ""
        return last + _event("complete", fields) + minutes

    def fail(self, seconds: float, code: str, sentence: str) -> str:
        """The file could be heard no further than this, and why."""
        return _progress(self._said.finish(seconds)) + _event("error", {"error": sentence, "code": code})


def _is_true(values: Sequence[str]) -> bool:
    return bool(values) and values[-1].strip().lower() in TRUE


def _progress(segments: Sequence[Segment]) -> str:
    return "".join(_event("progress", {**_segment(segment), "words": _words(segment.words)}) for segment in segments)


def _segment(segment: Segment) -> dict[str, Any]:
    return {"id": segment.id, **_times(segment.start, segment.stop), "text": segment.text}


def _words(words: Sequence[Spoken]) -> list[dict[str, Any]]:
    return [{"word": word.text, **_times(word.start, word.stop)} for word in words]


def _times(start: float, stop: float) -> dict[str, float]:
    return {"start": _rounded(start), "end": _rounded(stop)}


def _rounded(seconds: float) -> float:
    return round(seconds, PLACES)


def _event(name: str, fields: Mapping[str, Any]) -> str:
    return f"event: {name}\r\ndata: {_dumps(fields)}\r\n\r\n"


def _dumps(fields: Mapping[str, Any]) -> str:
    """ASCII, as Transcodio's: some clients take U+2028 and its like for the end of a line."""
    return json.dumps(fields, separators=(",", ":"))
