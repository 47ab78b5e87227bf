"""The languages that share the root of a server, told apart by the first message. A further one is one row."""

from collections.abc import Callable, Iterator, Sequence

from media.voice import OpusDecoder
from signaling.commands import Command, Say
from signaling.dialects.base import Dialect, Message
from signaling.dialects.moshi import Moshi
from signaling.dialects.yap import Yap
from signaling.events import Entry

# Which first messages are in it, and how one connection's is made. The first that fits is taken.
LANGUAGES: tuple[tuple[Callable[[Message], bool], Callable[[OpusDecoder], Dialect]], ...] = (
    (lambda first: isinstance(first, bytes), Moshi),
    (lambda first: isinstance(first, str), lambda opus: Yap()),
)


class Root:
    """One connection's language, once its first message has come. Until then it is told everything in each of them.

    `opus`: what decodes Ogg Opus.
    """

    steps = True  # moshi's clients want them, and the session asks before the first message has come
    strict = True

    def __init__(self, opus: OpusDecoder = "auto") -> None:
        self._opus = opus
        self._session = ""
        self._language: Dialect | None = None

    def ready(self, session: str) -> Sequence[Message]:
        self._session = session
        return []  # whichever greeting it were, it would be wrong for most

    def decode(self, message: Message) -> Iterator[Command]:
        if self._language is None:
            self._language = next(language for fits, language in LANGUAGES if fits(message))(self._opus)
            yield from map(Say, self._language.ready(self._session))
        yield from self._language.decode(message)

    def encode(self, entry: Entry) -> Sequence[Message]:
        return [message for language in self._spoken for message in language.encode(entry)]

    def error(self, code: str, text: str) -> Sequence[Message]:
        return [message for language in self._spoken for message in language.error(code, text)]

    @property
    def _spoken(self) -> list[Dialect]:
        return [self._language] if self._language else [language(self._opus) for _, language in LANGUAGES]
