"""moshi-server's language, one msgpack map a message, and our own beside it (engine/wire.py describes both).

    client  Init  Audio{pcm}  OggOpus{data}  Marker{id}  Flush; ours: Init{offhook, backlog}  Pcm  Clear  Finish
    server  Ready  Word{text, start_time}  EndWord{stop_time}  Step{step_idx, prs, buffered_pcm}  Marker{id}
            Error{message}; ours: Error{message, code}  Partial  Pause  Fed  Finished

Our Ready offers our own language with a field more, which clients of moshi-server do not look at; a client that takes
the offer says so with its Init. In moshi-server's own language a Flush asks for the rest of the words and then the end,
as Yap's clients mean it; in ours it ends nothing. Unlike at moshi-server, times and step_idx count from the session's
start, every word has its EndWord, a Marker needs no audio behind it, and a message that cannot be read is answered.

Kyutai's example sends one Marker and 35 s of silence, and leaves when the Marker is back. moshi-server hears that in
35 s. An engine that needs one tells 437 Steps in it, and clients made with the library websockets do not see our
answer to their close behind more than 16 messages that they have not read. So a session's first Marker is a Parting.
"""

from collections.abc import Iterable, Iterator, Sequence

from engine.base import SAMPLE_RATE
from engine.ends import Ends
from engine.events import Event, Mark, Partial, Pause, Step, Word, WordEnd
from engine.verbs import Audio as Samples
from engine.wire import WINDOW, Failure, Fed, Finished, Init, OggOpus, Ready, Reply, WireError, decode_request, encode
from media.voice import OpusDecoder
from signaling.commands import Audio, Clear, Command, Finish, Flush, MarkAt, Parting, Say
from signaling.dialects.base import Message
from signaling.dialects.sound import Sound
from signaling.errors import ENDINGS, Unreadable, no_free_channels
from signaling.events import Ended, Entry

ALL_SAID = Mark(0)  # after a plain Flush: Yap's clients take a Marker for the end, and a mere close only after 10 s
MOST = 3600.0  # seconds of backlog: more than any door lets wait
UNHEARD = ("bye", "lost")  # endings after which nobody listens
CODES = {  # of our failures, as our own language knows them: for all others the engine is unavailable
    **dict.fromkeys(("busy", "too_many_requests"), "full"),
    "slow_reader": "overrun",
    **dict.fromkeys(("bad_message", "unreadable", "bad_audio", "out_of_order", "too_large"), "misuse"),
}


class Moshi:
    """One connection's language. `opus`: what decodes Ogg Opus."""

    steps = True
    strict = True

    def __init__(self, opus: OpusDecoder = "auto") -> None:
        self._sound = Sound(opus)
        self._ends = Ends()
        self._credit: Credit | None = None  # once the client has chosen our own language
        self._ending = False  # the client has said that no more audio comes
        self._refused = False  # it has been told what is wrong
        self._marked = False  # a Marker has been told

    def ready(self, session: str) -> Sequence[Message]:
        return [encode(Ready())]

    def decode(self, message: Message) -> Iterable[Command]:
        if self._ending or isinstance(message, str):  # moshi-server does not look at text
            return []
        try:
            request = decode_request(message)
        except WireError as error:
            fault = str(error)
            raise Unreadable(f"{fault[0].upper()}{fault[1:]}.") from None
        match request:
            case Init():
                return self._begin(request)
            case Samples(pcm):
                return self._heard(self._sound.floats(pcm))
            case OggOpus(data):
                return self._heard(self._sound.opus(data))
            case MarkAt() | Clear():
                return [request]
            case Flush() if self._credit:
                return [request]
            case Flush() | Finish():
                self._ending = True
                return [Finish()]

    def encode(self, entry: Entry) -> Sequence[Message]:
        match entry.event:
            case Ended(reason):
                return self._ended(reason)
            case Word() | WordEnd() | Mark() as event:
                return [self._told(each) for each in self._ends.hear(event, self._seconds)]
            case Step() as step:
                return [encode(step), *self._stepped(step)]
            case (Partial() | Pause()) as event if self._credit:
                return [encode(event)]
        return []

    def error(self, code: str, text: str) -> Sequence[Message]:
        self._refused = True
        return [self._failure(code, no_free_channels(code, text))]

    @property
    def _seconds(self) -> float:
        return self._sound.samples / SAMPLE_RATE

    def _told(self, event: Event) -> Message:
        message = encode(event)
        if not isinstance(event, Mark) or self._marked or self._credit:
            return message
        self._marked = True
        return Parting(message)

    def _begin(self, init: Init) -> Sequence[Command]:
        if init.job == "clip":
            raise Unreadable("A clip is sent like any audio: Init with the job stream, Pcm, and Finish.")
        if init.version:
            self._credit = Credit(init.backlog)
        return []

    def _heard(self, pieces: Iterable[Audio]) -> Iterator[Command]:
        for audio in pieces:
            yield audio
            if self._credit:
                yield from map(Say, self._credit.told(self._sound.samples))

    def _stepped(self, step: Step) -> Sequence[Message]:
        if self._credit is None:
            return []
        taken = self._sound.samples
        return self._credit.told(taken, taken - round(step.backlog * SAMPLE_RATE))

    def _ended(self, reason: str) -> Sequence[Message]:
        told: list[Message] = [encode(end) for end in self._ends.close(self._seconds)]
        if reason == "finished":
            told.append(encode(Finished() if self._credit else ALL_SAID))
        elif reason not in UNHEARD and not self._refused:
            known = ENDINGS.get(reason)
            told.append(self._failure(reason, f"{known.title}." if known else f"The session has ended: {reason}."))
        return told

    def _failure(self, code: str, text: str) -> Message:
        reply: Reply = Failure(text, CODES.get(code, "unavailable"))
        return encode(reply, plain=self._credit is None)


class Credit:
    """What a client of our language is told is taken of its audio, so that it sends as much again.

    The door takes more audio than a live caller should be behind. So once Steps tell how far the engine is, no more is
    told as taken than it has heard and the client's own `backlog` (seconds) besides.
    """

    def __init__(self, backlog: float) -> None:
        self._ahead = round(min(max(backlog, 0.0), MOST) * SAMPLE_RATE) + WINDOW
        self._heard: int | None = None
        self._told = 0

    def told(self, taken: int, heard: int | None = None) -> list[Message]:
        """The message that is due once so many samples were taken, and `heard` of them transcribed if that is news."""
        self._heard = self._heard if heard is None else heard
        most = taken if self._heard is None else min(taken, self._heard + self._ahead)
        if most <= self._told:
            return []
        self._told = most
        return [encode(Fed(most))]
