"""When somebody's turn begins and when it is over, from what the engine tells. Pure: its time is the position in the
audio, in seconds.

    quiet ──voice──▶ speaking ──pause──▶ pausing ──silence──▶ quiet
                        ▲  ▲──────voice─────┘ │
                        └── cut (from both) ──┴──────────────▶ quiet

The engine knows what was said, so its own Pause is what may end a turn; the turn is over once the pause has lasted as
long as was asked for. A `cut` ends it where the caller says so.
"""

from dataclasses import dataclass
from typing import Literal

State = Literal["quiet", "speaking", "pausing"]
Verb = Literal["voice", "pause", "silence", "cut"]

TABLE: dict[tuple[State, Verb], State] = {
    ("quiet", "voice"): "speaking",
    ("speaking", "voice"): "speaking",
    ("speaking", "pause"): "pausing",
    ("speaking", "cut"): "quiet",
    ("pausing", "voice"): "speaking",
    ("pausing", "pause"): "pausing",
    ("pausing", "silence"): "quiet",
    ("pausing", "cut"): "quiet",
}


@dataclass(frozen=True, slots=True)
class Began:
    """Somebody began to speak; the audio of the turn starts at `start`."""

    start: float


@dataclass(frozen=True, slots=True)
class Over:
    """The turn is over; its audio is that from `start` to `stop`."""

    start: float
    stop: float


class Turns:
    """The turns of one caller, one after another.

    `silence`: seconds that a pause lasts before the turn is over; `padding`: seconds of audio before the voice that are
    counted to the turn.
    """

    def __init__(self, silence: float, padding: float) -> None:
        self.silence = silence
        self.padding = padding
        self._state: State = "quiet"
        self._start = 0.0  # of the turn
        self._paused = 0.0  # where its last pause began
        self._end = 0.0  # of the turn before

    @property
    def is_open(self) -> bool:
        """Whether somebody has the turn."""
        return self._state != "quiet"

    def voice(self, at: float) -> Began | None:
        """Somebody speaks; the first that is known of it is `at`."""
        began = self._state == "quiet"
        self._turn("voice")
        if not began:
            return None
        self._start = max(self._end, at - self.padding)
        return Began(self._start)

    def pause(self, at: float) -> None:
        """Nobody has spoken since `at`."""
        if self.is_open:
            self._turn("pause")
            self._paused = at

    def listen(self, position: float) -> Over | None:
        """The engine has heard everything up to `position`."""
        if self._state != "pausing" or position < self._paused + self.silence:
            return None
        self._turn("silence")
        return self._over(max(self._start, self._paused + self.silence))

    def cut(self, at: float) -> Over | None:
        """The turn ends here because the caller, or the end of the session, says so."""
        if not self.is_open:
            self._end = max(self._end, at)
            return None
        self._turn("cut")
        return self._over(max(self._start, at))

    def _over(self, stop: float) -> Over:
        self._end = stop
        return Over(self._start, stop)

    def _turn(self, verb: Verb) -> None:
        self._state = TABLE[self._state, verb]
