"""kyutai_modal's language: bare audio in binary messages, JSON out. It has two shapes, and no way to tell them apart.

    float32   client  samples (float32 LE, 24 kHz, mono)  "EOS"
              server  token{text}  error{message}; after "EOS" {text: "", final: true} and {status: "complete"}
    s16       client  samples (16-bit LE)  "EOS"
              server  {text, final}  {error}; after "EOS" {status: "complete"}

In both, Ogg Opus instead of samples is known by its first bytes, and a client that asks with `?vad=1` is also told
vad_end at the end of an utterance and a ping for every 10 s of its audio.

A token begins with the space before it, as kyutai_modal's README shows: its clients join tokens with nothing between.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, cast, get_args

from engine.base import SAMPLE_RATE
from engine.events import Pause, Word
from media.ogg import MAGIC
from media.voice import OpusDecoder
from signaling.commands import Audio, Command, Finish, Say
from signaling.dialects.base import Message
from signaling.dialects.native import dumps
from signaling.dialects.sound import Sound
from signaling.errors import ENDINGS, BadAudio, BadMessage
from signaling.events import Ended, Entry

Format = Literal["f32", "s16"]

END = b"EOS"  # a message of its own: no more audio
PING_EVERY = 10.0  # seconds of audio
NOT_PCM16 = "Invalid audio format (must be PCM16)"  # what clients of the s16 shape know
YES = ("1", "true", "yes", "on")


class Token:
    """One connection's language. `vad`: whether it is also told pauses and pings; `opus`: what decodes Ogg Opus."""

    steps = False
    strict = True

    def __init__(self, format: Format = "f32", vad: bool = False, opus: OpusDecoder = "auto") -> None:
        self._format = format
        self._vad = vad
        self._sound = Sound(opus)
        self._hear: Callable[[bytes], Iterable[Audio]] | None = None  # once the first bytes have come
        self._pinged = 0.0  # seconds of audio at the last ping
        self._ending = False  # the client has said that no more audio comes
        self._held: str | None = None  # the newest word after that: the last one is told as such
        self._refused = False  # it has been told what is wrong

    @classmethod
    def asked(cls, query: Mapping[str, str], format: Format = "f32", opus: OpusDecoder = "auto") -> "Token":
        """The language that a URL's query asks for; `format` where it does not say. Raises BadMessage."""
        wanted = query.get("format", format)
        if wanted not in get_args(Format):
            raise BadMessage(
                f"The format must be {' or '.join(get_args(Format))}; Ogg Opus is known by its first bytes."
            )
        return cls(cast(Format, wanted), query.get("vad", "").lower() in YES, opus)

    def ready(self, session: str) -> Sequence[Message]:
        return []

    def decode(self, message: Message) -> Iterator[Command]:
        if self._ending:
            return
        if message == END:
            self._ending = True
            yield Finish()
        elif isinstance(message, str):
            raise BadMessage("Audio comes in binary messages, and its end as the 3 bytes EOS.")
        else:
            for audio in self._heard(message):
                yield audio
                yield from self._ping(audio)

    def encode(self, entry: Entry) -> Sequence[Message]:
        match entry.event:
            case Word(text):
                return self._word(text)
            case Ended(reason):
                return self._ended(reason)
            case Pause() if self._vad:
                return [dumps({"type": "vad_end"})]
        return []

    def error(self, code: str, text: str) -> Sequence[Message]:
        self._refused = True
        return [dumps({"error": text} if self._format == "s16" else {"type": "error", "message": text})]

    def _heard(self, data: bytes) -> Iterable[Audio]:
        if data and self._hear is None:
            samples = self._sound.float32 if self._format == "f32" else self._sixteen_bit
            self._hear = self._sound.opus if data.startswith(MAGIC) else samples
        return self._hear(data) if self._hear else []

    def _sixteen_bit(self, data: bytes) -> list[Audio]:
        try:
            return self._sound.s16(data)
        except BadAudio as error:
            raise BadAudio(f"{NOT_PCM16}: {error}") from None

    def _ping(self, audio: Audio) -> Iterator[Say]:
        end = audio.start + len(audio.pcm) / SAMPLE_RATE
        if self._vad and end - self._pinged >= PING_EVERY:
            self._pinged = end
            yield Say(dumps({"type": "ping"}))

    def _word(self, text: str) -> Sequence[Message]:
        if self._format == "f32":
            return [dumps({"type": "token", "text": f" {text}"})]
        if not self._ending:
            return [_said(text, final=False)]
        held, self._held = self._held, text
        return [] if held is None else [_said(held, final=False)]

    def _ended(self, reason: str) -> Sequence[Message]:
        whole = self._ending and reason == "finished"
        told = [] if self._held is None else [_said(self._held, final=whole)]
        if whole and self._format == "f32":
            told.append(_said("", final=True))  # every word has been a token, and clients add up the texts
        if whole:
            told.append(dumps({"status": "complete"}))
        elif reason in ENDINGS and not self._refused:
            told += self.error(reason, f"{ENDINGS[reason].title}.")
        return told


def _said(text: str, *, final: bool) -> Message:
    return dumps({"text": text, "final": final})
