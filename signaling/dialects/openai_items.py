"""The items of one of OpenAI's conversations: each is what somebody said in one turn, and the events that tell of it.

An event is its fields without an id, since ids are given to what is sent.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ITEMS_KEPT = 32  # that a client can ask for again
TRANSCRIPTION = "conversation.item.input_audio_transcription"

Event = dict[str, Any]


@dataclass(slots=True)
class Item:
    """One turn's audio, from `start` to `stop` in seconds, and its words so far."""

    id: str
    start: float
    stop: float = 0.0
    words: list[str] = field(default_factory=list)
    transcript: str | None = None  # once it is complete

    def fields(self) -> Event:
        """As it is told."""
        content = [{"type": "input_audio", "transcript": self.transcript}]
        kind = {"id": self.id, "object": "realtime.item", "type": "message"}
        return {**kind, "status": "completed", "role": "user", "content": content}

    def hear(self, word: str) -> Event:
        """Another word; clients join what they are told with nothing between."""
        delta = f" {word}" if self.words else word
        self.words.append(word)
        return self._told("delta", delta=delta)

    def complete(self) -> Event:
        """All its words have been told."""
        self.transcript = " ".join(self.words)
        usage = {"type": "duration", "seconds": round(max(0.0, self.stop - self.start), 3)}
        return self._told("completed", transcript=self.transcript, usage=usage)

    def fail(self, error: Mapping[str, Any]) -> Event:
        """Its other words will never be told."""
        return self._told("failed", error=error)

    def _told(self, what: str, **more: Any) -> Event:
        return {"type": f"{TRANSCRIPTION}.{what}", "item_id": self.id, "content_index": 0, **more}


class Conversation:
    """Makes items, puts them one behind the other, and remembers the newest. `ref`: what their ids begin with."""

    def __init__(self, ref: str = "") -> None:
        self.ref = ref
        self._made = 0
        self._last: str | None = None
        self._kept: OrderedDict[str, Item] = OrderedDict()

    def make(self, start: float) -> Item:
        """An item whose audio begins there. It is in the conversation once it is committed."""
        self._made += 1
        return Item(f"item_{self.ref}{self._made}", start)

    def commit(self, item: Item, stop: float) -> list[Event]:
        """The item's audio is whole: it takes its place in the conversation."""
        item.stop = stop
        previous, self._last = self._last, item.id
        self._kept[item.id] = item
        if len(self._kept) > ITEMS_KEPT:
            self._kept.popitem(last=False)
        place = {"previous_item_id": previous}
        return [
            {"type": "input_audio_buffer.committed", **place, "item_id": item.id},
            {"type": "conversation.item.added", **place, "item": item.fields()},
            {"type": "conversation.item.done", **place, "item": item.fields()},
        ]

    def find(self, id: object) -> Item | None:
        """One of the newest items."""
        return self._kept.get(id) if isinstance(id, str) else None
