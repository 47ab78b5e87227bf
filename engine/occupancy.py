"""The places of one server, as far as they can be known from outside. Pure.

Ours are counted here. What others take follows from what the server tells now and then; between two answers it may be
wrong, and then the server's own word, "no free channels", decides.
"""


class Occupancy:
    """The places of one server: in all, ours and the others'. A server that tells nothing has `assumed` places."""

    def __init__(self, assumed: int) -> None:
        self.total = assumed
        self.ours = 0
        self._assumed = assumed
        self._others = 0
        self._most = 0  # that were ours at a time since the server last told

    @property
    def free(self) -> int:
        """Places that it would give now."""
        return max(0, self.total - self._others - self.ours)

    @property
    def all_ours(self) -> bool:
        """Whether nobody but us can make room there."""
        return self.ours >= self.total

    def take(self) -> None:
        """We take a place, or try to."""
        self.ours += 1
        self._most = max(self._most, self.ours)

    def leave(self) -> None:
        """We give a place back."""
        self.ours -= 1

    def told(self, used: int, total: int) -> None:
        """The server has told how many places are used.

        It may still count those that we have left meanwhile, or count already those that we are about to have.
        """
        self.total = total
        self._others = max(0, used - self._most)
        self._most = self.ours

    def untold(self) -> None:
        """The server serves, but does not tell."""
        self.told(0, self._assumed)

    def refused(self) -> None:
        """The server said that it is full, whatever was believed."""
        self._others = max(self._others, self.total - self.ours)
