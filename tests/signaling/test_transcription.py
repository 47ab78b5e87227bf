"""A whole recording as text and subtitles."""

import io

import webvtt

from engine.events import Pause, Word, WordEnd
from signaling.events import SessionEvent
from signaling.transcription import Recorder, Transcript, as_srt, as_text, as_vtt

SAID: list[SessionEvent] = [
    *(Word("Ever", 0.5), WordEnd(0.75), Word("tried.", 0.75), WordEnd(1.25), Pause(1.5)),
    *(Word("<b>No</b>", 2.0), WordEnd(2.4999), Word("-->", 2.5), Word("matter.", 2.75)),
]


def recorded(events: list[SessionEvent], seconds: float) -> Transcript:
    recorder = Recorder()
    for event in events:
        recorder.hear(event, seconds)
    return recorder.transcript(seconds)


def test_a_transcript_is_what_was_said_in_order() -> None:
    transcript = recorded(SAID, 3.0)
    assert transcript.text == "Ever tried. <b>No</b> --> matter."
    assert as_text(transcript) == "Ever tried. <b>No</b> --> matter.\n"
    assert [segment.text for segment in transcript.segments] == ["Ever tried.", "<b>No</b> --> matter."]
    assert [(word.text, word.start, word.stop) for word in transcript.words][-1] == ("matter.", 2.75, 3.0)


def test_what_is_told_so_far_can_be_asked_for() -> None:
    recorder = Recorder()
    assert recorder.hear(Word("Ever", 0.5), 9.0) == []
    assert recorder.text == ""
    [segment] = recorder.hear(Pause(1.0), 9.0)
    assert recorder.text == segment.text == "Ever"
    assert recorder.finish(9.0) == []


def test_subtitles_are_those_of_the_segments() -> None:
    transcript = recorded(SAID, 3.0)
    assert as_srt(transcript) == (
        "1\n00:00:00,500 --> 00:00:01,250\nEver tried.\n\n2\n00:00:02,000 --> 00:00:03,235\n<b>No</b> → matter.\n\n"
    )
    assert as_vtt(transcript) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nEver tried.\n\n"
        "00:00:02.000 --> 00:00:03.235\n&lt;b&gt;No&lt;/b&gt; --&gt; matter.\n\n"
    )


def test_a_parser_reads_the_subtitles_back() -> None:
    transcript = recorded(SAID, 3.0)
    for text, kind in ((as_srt(transcript), "srt"), (as_vtt(transcript), "vtt")):
        file = webvtt.from_buffer(io.BytesIO(text.encode()), format=kind)
        assert [caption.start for caption in file.captions] == ["00:00:00.500", "00:00:02.000"]


def test_silence_is_an_empty_transcript() -> None:
    transcript = recorded([Pause(1.0)], 3.0)
    assert (as_text(transcript), as_srt(transcript), as_vtt(transcript)) == ("\n", "", "WEBVTT\n\n")
