"""moshi-server's answer to a file that is posted: one JSON array of its Word, EndWord and Error messages. Pure."""

from engine.ends import Ends
from engine.events import Word, WordEnd
from signaling.dialects.native import dumps
from signaling.events import SessionEvent


class MoshiFile:
    """One file's messages. Unlike moshi-server's, every word has its EndWord."""

    def __init__(self) -> None:
        self._messages: list[str] = []
        self._ends = Ends()

    @property
    def empty(self) -> bool:
        """Whether nothing was said."""
        return not self._messages

    def hear(self, event: SessionEvent, seconds: float) -> None:
        """The next event; so many seconds of the file were decoded."""
        if isinstance(event, (Word, WordEnd)):
            for told in self._ends.hear(event, seconds):
                self._tell(told)

    def close(self, seconds: float, error: str = "") -> str:
        """The array: the file lasted so many seconds, and could be heard to its end unless there is an `error`."""
        for told in self._ends.close(seconds):
            self._tell(told)
        if error:
            self._messages.append(dumps({"type": "Error", "message": error}))
        return f"[{','.join(self._messages)}]"

    def _tell(self, event: object) -> None:
        match event:
            case Word(text, start):
                self._messages.append(dumps({"type": "Word", "text": text, "start_time": start}))
            case WordEnd(stop):
                self._messages.append(dumps({"type": "EndWord", "stop_time": stop}))
