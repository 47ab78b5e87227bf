"""How a transcript is written into a file. Pure."""

import json
from collections.abc import Callable, Mapping

from signaling.transcription import Transcript, as_srt, as_vtt

PLACES = 3  # of a second

Write = Callable[[Transcript, Mapping[str, str]], str]  # with what else is known of the recording


def as_lines(transcript: Transcript) -> str:
    """A line for each segment."""
    return "".join(f"{segment.text}\n" for segment in transcript.segments)


def as_json(transcript: Transcript, about: Mapping[str, str]) -> str:
    """One JSON object on one line, so that several can follow each other. It begins with what stands in `about`; the
    names of the others are those of OpenAI's `verbose_json`."""
    fields = {
        **about,
        "duration": round(transcript.duration, PLACES),
        "text": transcript.text,
        "segments": [
            {"id": each.id, **_times(each.start, each.stop), "text": each.text} for each in transcript.segments
        ],
        "words": [{"word": word.text, **_times(word.start, word.stop)} for word in transcript.words],
    }
    return f"{json.dumps(fields, ensure_ascii=False)}\n"


FORMATS: dict[str, Write] = {
    "txt": lambda transcript, _: as_lines(transcript),
    "srt": lambda transcript, _: as_srt(transcript),
    "vtt": lambda transcript, _: as_vtt(transcript),
    "json": as_json,
}


def _times(start: float, stop: float) -> dict[str, float]:
    return {"start": round(start, PLACES), "end": round(stop, PLACES)}
