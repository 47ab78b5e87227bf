"""From words to captions: which words stand together, in which lines, and how the two common formats write it. Pure.

A cue is what is shown at once: at most two lines of 42 characters and 7 seconds, as broadcasters have it. It is
complete when the speaker pauses, or when the next word has no room in it; it stays until it can be read, where the next
one allows that. (Who speaks faster than one reads is shown every word all the same.) The figures are those of Netflix's
Timed Text Style Guide. WebVTT: https://www.w3.org/TR/webvtt1/; SubRip has no standard, and players agree on little more
than what is written here.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

LINE = 42  # characters
LINES = 2
LONGEST = 7.0  # seconds
GAP = 1.0  # seconds without a word that are a pause, where nobody tells of one
LONGEST_WORD = 2.0  # seconds: an end that is told for later is that of the silence behind the word
READING = 17.0  # characters a second that everybody reads
SHORTEST = 0.7  # seconds that a cue is shown at least, where the next word allows it
SENTENCE_ENDS = (".", "?", "!", "…")

VTT_TYPE = "text/vtt"
VTT_OPENING = "WEBVTT\n\n"
SRT_TYPE = "application/x-subrip"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word with its times, in seconds of the caller's audio."""

    text: str
    start: float
    stop: float


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown from `start` to `stop`, in milliseconds; `start` is before `stop`."""

    start: int
    stop: int
    lines: tuple[str, ...]


class Cues:
    """Makes cues of words as they come. They do not overlap, and their times never go backwards."""

    def __init__(self) -> None:
        self._words: list[Spoken] = []
        self._shown_until = 0  # milliseconds: the end of the cue before

    def add(self, word: Spoken) -> list[Cue]:
        """The next word; the cue that it completed, if it completed one."""
        text = " ".join(word.text.split())
        if not text:
            return []
        done = self.close(before=word.start) if self._words and not self._has_room(text, word) else []
        self._words.append(Spoken(text, word.start, min(word.stop, word.start + LONGEST_WORD)))
        return done

    def close(self, before: float | None = None) -> list[Cue]:
        """The words so far are a cue: the speaker pauses, nothing more comes, or the next word starts at `before`."""
        if not self._words:
            return []
        words, self._words = self._words, []
        lines = lines_of([word.text for word in words])
        start = max(self._shown_until, milliseconds(words[0].start))
        spoken = milliseconds(max(word.stop for word in words))
        # Counted from when it was spoken: else what comes too fast would fall behind more and more.
        read = milliseconds(words[0].start + reading_time(lines))
        latest = read if before is None else min(read, milliseconds(before))
        self._shown_until = max(start + 1, spoken, latest)
        return [Cue(start, self._shown_until, lines)]

    def _has_room(self, text: str, word: Spoken) -> bool:
        texts = [word.text for word in self._words]
        first, last = self._words[0], self._words[-1]
        if texts[-1].endswith(SENTENCE_ENDS) and len(" ".join(texts)) > LINE:
            return False
        if word.start - last.stop >= GAP or word.stop - first.start > LONGEST:
            return False
        return len(_wrapped([*texts, text])) <= LINES


def cues_of(utterances: Sequence[Sequence[Spoken]]) -> list[Cue]:
    """The cues of a whole recording: none goes on over the end of an utterance, and each stays until it can be read or
    the next word begins."""
    cues = Cues()
    made: list[Cue] = []
    for words, following in itertools.zip_longest(utterances, utterances[1:], fillvalue=()):
        made += [cue for word in words for cue in cues.add(word)]
        made += cues.close(before=following[0].start if following else None)
    return made


def reading_time(lines: Sequence[str]) -> float:
    """Seconds that a cue with these lines is shown, where the next word allows it."""
    return min(LONGEST, max(SHORTEST, len(" ".join(lines)) / READING))


def lines_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Words in as few lines as can be; two of them as equally long as can be."""
    lines = _wrapped(texts)
    if len(lines) != LINES:
        return tuple(lines)
    halves = [(" ".join(texts[:at]), " ".join(texts[at:])) for at in range(1, len(texts))]
    return min(halves, key=lambda pair: max(map(len, pair)))


def milliseconds(seconds: float) -> int:
    """Rounded once, before it is cut into hours, minutes and seconds: no part is ever 1000 or 60."""
    return max(0, round(seconds * 1000))


def vtt(cue: Cue) -> str:
    """A cue as a block of WebVTT. What could be markup, or the arrow between two times, is escaped."""
    lines = "\n".join(map(_escaped, cue.lines))
    return f"{_clock(cue.start, '.')} --> {_clock(cue.stop, '.')}\n{lines}\n\n"


def vtt_comment(text: str) -> str:
    """What no viewer is shown."""
    return f"NOTE {_escaped(' '.join(text.split()))}\n\n"


def srt(number: int, cue: Cue) -> str:
    """A cue as a block of SubRip, where cues are numbered from 1. It knows no escapes: an arrow becomes another one."""
    lines = "\n".join(line.replace("-->", "→") for line in cue.lines)
    return f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.stop, ',')}\n{lines}\n\n"


def _wrapped(texts: Sequence[str]) -> list[str]:
    """Words in lines of at most LINE characters; a longer word has a line of its own."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + 1 + len(text) <= LINE:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return lines


def _escaped(text: str) -> str:
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\0", "\N{REPLACEMENT CHARACTER}")
    )


def _clock(moment: int, point: str) -> str:
    seconds, rest = divmod(moment, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"
