"""Yap's JSON, one object a text message, as its README had it.

    client  StartSTT  Audio{audio: base64 of PCM16 LE, 24 kHz, mono}  Flush
    server  Ready  Word{word}  Partial{text}  Final{text}  Error{message}

A Partial is everything said so far, with what may still change at its end; a Final is everything, and the last message.
"""

import base64
from collections.abc import Sequence

from engine.events import Partial, Word
from engine.wire import MESSAGE_LIMIT
from signaling.commands import Audio, Command, Finish, Say
from signaling.dialects.base import Message
from signaling.dialects.native import dumps, loads
from signaling.dialects.sound import Sound
from signaling.errors import ENDINGS, BadMessage, OutOfOrder, no_free_channels
from signaling.events import Ended, Entry

SAID_ALL = ("finished", "idle", "no_speech", "max_session", "drain")  # endings before which the last words are told


class Yap:
    """One connection's language."""

    steps = False
    strict = True

    def __init__(self) -> None:
        self._sound = Sound()
        self._begun = False
        self._ending = False  # the client has said that no more audio comes
        self._refused = False  # it has been told what is wrong
        self._text = Text()

    def ready(self, session: str) -> Sequence[Message]:
        return []  # it is the answer to StartSTT

    def decode(self, message: Message) -> Sequence[Command]:
        if self._ending:
            return []
        fields = loads(message, MESSAGE_LIMIT)
        kind = fields.get("type")
        if kind not in ("StartSTT", "Audio", "Flush"):
            raise BadMessage("The type must be StartSTT, Audio or Flush.")
        if self._begun == (kind == "StartSTT"):
            raise OutOfOrder("StartSTT comes first, and once.")
        match kind:
            case "Audio":
                return self._heard(fields.get("audio"))
            case "Flush":
                self._ending = True
                return [Finish()]
        self._begun = True
        return [Say(dumps({"type": "Ready"}))]

    def encode(self, entry: Entry) -> Sequence[Message]:
        match entry.event:
            case Word(text):
                self._text.settle(text)
                return [dumps({"type": "Word", "word": text}), self._partial()]
            case Partial(text):
                return [self._partial()] if self._text.expect(text) else []
            case Ended(reason):
                return self._ended(reason)
        return []

    def error(self, code: str, text: str) -> Sequence[Message]:
        self._refused = True
        return [dumps({"type": "Error", "message": no_free_channels(code, text)})]

    def _heard(self, audio: object) -> Sequence[Audio]:
        if not isinstance(audio, str):
            raise BadMessage("Audio needs a field audio: base64 of 16-bit samples, 24 kHz, mono.")
        try:
            data = base64.b64decode(audio, validate=True)
        except ValueError:
            raise BadMessage("Audio.audio is not base64.") from None
        return self._sound.s16(data)

    def _ended(self, reason: str) -> Sequence[Message]:
        if reason in SAID_ALL and self._begun:
            return [dumps({"type": "Final", "text": self._text.settled})]
        if reason in ENDINGS and not self._refused:
            return self.error(reason, f"{ENDINGS[reason].title}.")
        return []

    def _partial(self) -> Message:
        return dumps({"type": "Partial", "text": str(self._text)})


class Text:
    """What has been said: settled words, and a tail that may still change."""

    def __init__(self) -> None:
        self.settled = ""
        self._tail: list[str] = []

    def __str__(self) -> str:
        return " ".join((self.settled, *self._tail)).strip()

    def settle(self, word: str) -> None:
        """A word has settled: the tail began with it, or was wrong."""
        words = word.split()
        self._tail = self._tail[len(words) :] if self._tail[: len(words)] == words else []
        self.settled = f"{self.settled} {word}".strip()

    def expect(self, tail: str) -> bool:
        """The tail is this now. Whether that changes anything."""
        before, self._tail = self._tail, tail.split()
        return self._tail != before
