"""OpenAI's Realtime language, as far as it is about listening: JSON, on a socket or on a call's data channel.

    client  session.update  input_audio_buffer.append, .commit, .clear  conversation.item.retrieve
            transcription_session.update, as the beta had it
    server  session.created, .updated  input_audio_buffer.speech_started, .speech_stopped, .committed, .cleared,
            .dtmf_event_received  conversation.item.added, .done, .retrieved
            conversation.item.input_audio_transcription.delta, .completed, .failed  error

Words are told as they settle, as deltas of the item that their turn will become. A turn ends with the engine's Pause
(signaling/turns.py) or where the client commits it. Then a mark and a flush bring the last words, and only when the
mark comes back is the item complete: no word is told after that, and none is lost. What a client says wrongly is
answered with an error that names its event, and changes nothing.
"""

import base64
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from engine.base import FRAME_SAMPLES, SAMPLE_RATE
from engine.events import Mark, Partial, Pause, Step, Word
from media.errors import MediaError
from media.events import Digit, Missed
from media.voice import OpusDecoder
from signaling import openai_errors
from signaling.commands import Clear, Command, Flush, MarkAt, Say
from signaling.dialects.base import Message
from signaling.dialects.native import dumps, loads
from signaling.dialects.openai_audio import Ear
from signaling.dialects.openai_items import Conversation, Event, Item
from signaling.dialects.openai_session import Settings, wrong_choice
from signaling.errors import ENDINGS, WIRE, BadAudio, SignalingError, sentence, wire_error
from signaling.events import Ended, Entry
from signaling.openai_errors import BadParameter
from signaling.turns import Over

MESSAGE_LIMIT = 16 << 20  # characters
APPEND_LIMIT = 15 << 20  # characters of base64 in one append
LEAST = 0.1  # seconds of audio that can be committed
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
REF = 8  # letters of the session's id that its items' ids begin with
STATUS = {known.code: known.status for known in WIRE.values()}
SPOKEN = ("response.", "output_audio_buffer.", "conversation.item.")  # what there is only where something is answered
HERE = "This server transcribes and answers nothing, so there is no {} here."
KEY = "input_audio_buffer.dtmf_event_received"
SAID_ALL = ("finished", "idle", "no_speech", "max_session", "drain")  # endings before which the last words are told
QUIET = {
    "idle": "Nothing came from you for too long.",
    "no_speech": "Nothing was said for too long.",
}

Error = dict[str, str | None]
Fault = SignalingError | MediaError
Verb = Callable[[Mapping[str, Any]], Iterator[Command]]


@dataclass(frozen=True, slots=True)
class Awaited:
    """A mark under way. The words before it are the item's; those of audio that was cleared are nobody's."""

    mark: int
    item: Item | None


class Position:
    """How far into the caller's audio the engine has heard, in seconds.

    It is counted in Steps, since the client may have sent more by the time that a Step is read here. The steps of a
    flush hear nothing of it: what has come less what waits in the engine is the most that it can be.
    """

    def __init__(self) -> None:
        self.at = 0.0
        self._stepped = False

    def step(self, most: float) -> float:
        """The engine has heard another frame."""
        self._stepped = True
        self.at = max(self.at, min(self.at + FRAME_SECONDS, most))
        return self.at

    def skip(self, seconds: float) -> None:
        """So much of the audio never reached the engine."""
        self.at += seconds

    def reach(self, at: float) -> float:
        """The engine has heard what was said there. One that takes no steps has heard all that there will be."""
        self.at = max(self.at, at)
        return self.at if self._stepped else inf


class Realtime:
    """One connection's language.

    `began`: Unix seconds; `lasts`: seconds of the longest session; `opus`: what decodes Ogg Opus; `by_track`: whether
    the audio comes beside the messages, which is then told to `hear`.
    """

    steps = True
    strict = False

    def __init__(
        self, settings: Settings, *, began: float, lasts: float, opus: OpusDecoder = "auto", by_track: bool = False
    ) -> None:
        self._settings = settings
        self._began = began
        self._lasts = lasts
        self._by_track = by_track
        self._ear = Ear(settings.format, opus)
        self._session = ""
        self._events = 0  # told so far
        self._turns = settings.detection.turns() if settings.detection else None
        self._conversation = Conversation()
        self._open: Item | None = None  # what is being said
        self._awaited: deque[Awaited] = deque()
        self._marks = 0
        self._fed = 0.0  # seconds of audio that came by the track
        self._position = Position()
        self._from = 0.0  # seconds up to which everything is committed or cleared
        self._refused = False  # it has been told why the session ends
        self._verbs: dict[str, Verb] = {
            "session.update": self._update,
            "transcription_session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.retrieve": self._retrieve,
        }

    def ready(self, session: str) -> Sequence[Message]:
        self._session = f"sess_{session}"
        self._conversation.ref = f"{session[:REF]}_"
        return [self._tell({"type": "session.created", "session": self._shown()})]

    def hear(self, until: float) -> None:
        """The call's audio has come up to there, in seconds."""
        self._fed = until

    def decode(self, message: Message) -> Iterator[Command]:
        said: Mapping[str, Any] = {}
        try:
            said = loads(message, MESSAGE_LIMIT)
            yield from self._verb(said.get("type"))(said)
        except (SignalingError, MediaError) as error:
            yield self._fault(error, said.get("event_id"))

    def encode(self, entry: Entry) -> Sequence[Message]:
        return [self._tell(event) for event in self._told(entry)]

    def error(self, code: str, text: str) -> Sequence[Message]:
        self._refused = True
        told = openai_errors.fields(STATUS.get(code, 400), code, text)
        return [self._tell({"type": "error", "error": {**told, "event_id": None}})]

    # What the client says

    def _verb(self, kind: object) -> Verb:
        """Raises BadParameter."""
        if kind is None:
            raise BadParameter("Missing required parameter: 'type'.", "type", "missing_required_parameter")
        if not isinstance(kind, str):
            raise BadParameter("Invalid type for 'type': expected a string.", "type", "invalid_type")
        if kind in self._verbs:
            return self._verbs[kind]
        if kind.startswith(SPOKEN):
            raise BadParameter(HERE.format(kind[:40]), "type", "unsupported_event")
        raise BadParameter(wrong_choice(kind, list(self._verbs)), "type")

    def _update(self, said: Mapping[str, Any]) -> Iterator[Command]:
        if "session" not in said:
            raise BadParameter("Missing required parameter: 'session'.", "session", "missing_required_parameter")
        before, self._settings = self._settings, self._settings.updated(said["session"])
        self._ear.tune(self._settings.format)
        kind = said["type"].removesuffix("update") + "updated"
        yield self._say({"type": kind, "session": self._shown()})
        if self._settings.detection != before.detection:
            yield from map(self._say, self._detect_otherwise())

    def _append(self, said: Mapping[str, Any]) -> Iterator[Command]:
        if self._by_track:
            raise BadParameter(
                "The audio of a call comes by its track; connect a WebSocket to append it.", "type", "unsupported_event"
            )
        data = _audio(said)
        try:
            yield from self._ear.hear(data)
        except (BadAudio, MediaError) as error:
            raise BadParameter(sentence(error), "audio") from None

    def _commit(self, said: Mapping[str, Any]) -> Iterator[Command]:
        at = self._heard
        if (waiting := at - self._from) < LEAST:
            raise BadParameter(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer "
                f"only has {max(0.0, waiting) * 1_000:.2f}ms of audio.",
                None,
                "input_audio_buffer_commit_empty",
            )
        item = self._spoken(self._turns.cut(at) if self._turns else None)
        self._from = at
        for event in self._conversation.commit(item, at):
            yield self._say(event)
        yield self._mark(item)
        yield Flush()

    def _clear(self, said: Mapping[str, Any]) -> Iterator[Command]:
        if self._heard > self._from:
            yield from self._forget()
        yield self._say({"type": "input_audio_buffer.cleared"})

    def _forget(self) -> Iterator[Command]:
        """Nobody is told what was said since the last commit. While that one's last words are awaited, the engine must
        not forget them."""
        self._from = self._heard
        self._open = None
        if self._turns:
            self._turns.cut(self._heard)
        if not self._awaited:
            yield Clear()
        yield self._mark(None)

    def _retrieve(self, said: Mapping[str, Any]) -> Iterator[Command]:
        item = self._conversation.find(said.get("item_id"))
        if item is None:
            raise BadParameter(
                "Error retrieving item: there is no item with this id, or it is too old.",
                "item_id",
                "item_retrieve_invalid_item_id",
            )
        yield self._say({"type": "conversation.item.retrieved", "item": item.fields()})

    def _mark(self, item: Item | None) -> MarkAt:
        self._marks += 1
        self._awaited.append(Awaited(self._marks, item))
        return MarkAt(self._marks)

    def _detect_otherwise(self) -> Iterator[Event]:
        """Turns end otherwise from now on. What is being said stays one item, and is a turn if there are turns now."""
        detection = self._settings.detection
        turns = detection.turns() if detection else None
        if turns and self._turns:
            self._turns.silence, self._turns.padding = turns.silence, turns.padding
            return
        self._turns = turns
        if turns:
            turns.cut(self._from)
            yield from self._voice(self._open.start) if self._open else ()

    # What is told to it

    def _told(self, entry: Entry) -> Iterator[Event]:
        match entry.event:
            case Word(text, start):
                yield from self._word(text, start)
            case Partial(text) if not self._awaited:
                yield from self._tail(text)
            case Pause(at) if not self._awaited and self._turns:
                self._turns.pause(at)
                yield from self._over(self._turns.listen(self._position.reach(at)))
            case Step(backlog=backlog):
                position = self._position.step(self._heard - backlog)
                yield from self._over(self._turns.listen(position) if self._turns else None)
            case Missed(start, stop):
                self._position.skip(stop - start)
            case Mark(id) if self._awaited and self._awaited[0].mark == id:
                yield from self._complete(self._awaited.popleft().item)
            case Digit(digit, at, duration):
                yield {"type": KEY, "event": digit, "received_at": int(self._began + at + duration)}
            case Ended(reason):
                yield from self._ended(reason)

    def _word(self, text: str, start: float) -> Iterator[Event]:
        if self._awaited:
            item = self._awaited[0].item
        else:
            yield from self._voice(start)
            item = self._open = self._open or self._conversation.make(self._from)
        if item and self._settings.transcription:
            yield item.hear(text)

    def _tail(self, text: str) -> Iterator[Event]:
        if text:
            yield from self._voice(self._position.at)
        elif self._turns and self._open and not self._open.words:
            self._turns.pause(self._position.at)  # it was no word after all, and no Pause will tell

    def _voice(self, at: float) -> Iterator[Event]:
        if self._turns and (began := self._turns.voice(at)):
            self._open = self._open or self._conversation.make(began.start)
            yield {
                "type": "input_audio_buffer.speech_started",
                "audio_start_ms": round(began.start * 1_000),
                "item_id": self._open.id,
            }

    def _over(self, over: Over | None) -> Iterator[Event]:
        """A turn is over and all its words have been told: the engine tells them before its Pause."""
        if over is None:
            return
        item = self._spoken(over)
        self._from = max(self._from, over.stop)
        yield {
            "type": "input_audio_buffer.speech_stopped",
            "audio_end_ms": round(over.stop * 1_000),
            "item_id": item.id,
        }
        yield from self._conversation.commit(item, over.stop)
        yield from self._complete(item)

    def _spoken(self, over: Over | None) -> Item:
        """What was being said, as an item of its own."""
        item, self._open = self._open or self._conversation.make(self._from), None
        item.start = over.start if over else self._from
        return item

    def _complete(self, item: Item | None) -> Iterator[Event]:
        if item and self._settings.transcription:
            yield item.complete()

    def _ended(self, reason: str) -> Iterator[Event]:
        if reason in SAID_ALL:
            yield from self._rest()
        failure = self._ending(reason)
        if failure is None:
            return
        if self._settings.transcription:
            yield from (awaited.item.fail(failure) for awaited in self._awaited if awaited.item)
        yield {"type": "error", "error": {**failure, "event_id": None}}

    def _rest(self) -> Iterator[Event]:
        """The last words have been told: what was said is whole, committed or not."""
        while self._awaited:
            yield from self._complete(self._awaited.popleft().item)
        if self._turns:
            yield from self._over(self._turns.cut(self._heard))
        elif self._open and self._open.words:
            item = self._spoken(None)
            yield from self._conversation.commit(item, self._heard)
            yield from self._complete(item)

    def _ending(self, reason: str) -> Error | None:
        """How the end of the session is told; None where nobody needs to be."""
        if self._refused:
            return None
        if reason == "max_session":
            text = f"Your session hit the maximum duration of {self._lasts / 60:.0f} minutes."
            return openai_errors.fields(400, "session_expired", text)
        if reason in QUIET:
            return openai_errors.fields(400, reason, QUIET[reason])
        if reason in ENDINGS:
            return openai_errors.fields(ENDINGS[reason].status, ENDINGS[reason].code, f"{ENDINGS[reason].title}.")
        return None

    # The wire

    @property
    def _heard(self) -> float:
        """Seconds of audio that the client has sent."""
        return self._fed if self._by_track else self._ear.seconds

    def _shown(self) -> Event:
        return {"id": self._session, **self._settings.fields(), "expires_at": int(self._began + self._lasts)}

    def _say(self, event: Event) -> Say:
        return Say(self._tell(event))

    def _tell(self, event: Event) -> Message:
        """The event as it is sent. One of a telephone's keys has no id, as OpenAI has it."""
        if event["type"] == KEY:
            return dumps(event)
        self._events += 1
        return dumps({"type": event["type"], "event_id": f"event_{self._conversation.ref}{self._events}", **event})

    def _fault(self, error: Fault, event: object) -> Say:
        """What the client did wrongly, with the id that it gave to the event."""
        if isinstance(error, BadParameter):
            told = openai_errors.fields(400, error.code, str(error), error.param)
        else:
            known = wire_error(error)
            told = openai_errors.fields(known.status, known.code, sentence(error))
        return self._say({"type": "error", "error": {**told, "event_id": event if isinstance(event, str) else None}})


def _audio(said: Mapping[str, Any]) -> bytes:
    """What an append holds. Raises BadParameter."""
    text = said.get("audio")
    if text is None:
        raise BadParameter("Missing required parameter: 'audio'.", "audio", "missing_required_parameter")
    if isinstance(text, str) and len(text) > APPEND_LIMIT:
        raise BadParameter(
            f"Invalid 'audio': string too long. Expected a string with maximum length {APPEND_LIMIT}, but got a string "
            f"with length {len(text)} instead.",
            "audio",
            "string_above_max_length",
        )
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise BadParameter(
            "Invalid 'audio'. Expected base64-encoded audio bytes but got an invalid value.", "audio"
        ) from None
