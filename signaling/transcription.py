"""A recording's whole transcript, as text and as subtitles. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from signaling.captions import VTT_OPENING, Cue, Spoken, cues_of, srt, vtt
from signaling.events import SessionEvent
from signaling.segments import Segment, Segments


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in a recording of `duration` seconds."""

    segments: Sequence[Segment]
    duration: float

    @property
    def text(self) -> str:
        """All its words, with spaces between them."""
        return _joined(self.segments)

    @property
    def words(self) -> list[Spoken]:
        """The words of all segments."""
        return [word for segment in self.segments for word in segment.words]

    @property
    def cues(self) -> list[Cue]:
        """Its subtitles; none goes on over the end of a segment."""
        return cues_of([segment.words for segment in self.segments])


class Recorder:
    """Makes a transcript of a recording's events as they come."""

    def __init__(self) -> None:
        self._making = Segments()
        self._segments: list[Segment] = []

    @property
    def text(self) -> str:
        """The words of the segments so far."""
        return _joined(self._segments)

    def hear(self, event: SessionEvent, seconds: float) -> list[Segment]:
        """The next event; so many seconds of the recording were read. The segments that it completed."""
        return self._keep(self._making.hear(event, seconds))

    def finish(self, seconds: float) -> list[Segment]:
        """The recording is over, and has so many seconds. Its last segment, if it was not complete."""
        return self._keep(self._making.close(seconds))

    def transcript(self, seconds: float) -> Transcript:
        """All of a recording that is over and has so many seconds."""
        self.finish(seconds)
        return Transcript(self._segments, seconds)

    def _keep(self, segments: list[Segment]) -> list[Segment]:
        self._segments += segments
        return segments


def as_text(transcript: Transcript) -> str:
    """One line."""
    return f"{transcript.text}\n"


def as_srt(transcript: Transcript) -> str:
    """SubRip."""
    return "".join(srt(number, cue) for number, cue in enumerate(transcript.cues, 1))


def as_vtt(transcript: Transcript) -> str:
    """WebVTT, with the same cues."""
    return VTT_OPENING + "".join(map(vtt, transcript.cues))


def _joined(segments: Sequence[Segment]) -> str:
    return " ".join(segment.text for segment in segments)
