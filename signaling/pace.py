"""How fast a caller's audio is taken, where it may come at any speed. Pure: it is told the time."""

PATIENCE = 5.0  # seconds for which any speed will do: a client that was held up may catch up
CALM = 1.0  # seconds behind the fastest pace that end such a time


class Pace:
    """Says how long to wait before more is read, so that from PATIENCE on no more than `fastest` times real time is
    taken. What is not read waits at the caller."""

    def __init__(self, fastest: float) -> None:
        self._fastest = fastest
        self._since = 0.0  # when the caller began to be faster, or last was not
        self._due = 0.0  # when all that was taken would be over at the fastest pace

    def hear(self, seconds: float, now: float) -> float:
        """So much audio was taken: seconds to wait. `now` must not go back."""
        if now > self._due + CALM:
            self._since = self._due = now
        self._due += seconds / self._fastest
        if now - self._since < PATIENCE:
            return 0.0
        self._due = min(self._due, now + seconds / self._fastest)  # what came before is forgiven
        return max(0.0, self._due - now)
