"""What test models share."""

from engine.base import Upkeep
from engine.batch import Mask


class Rewindable:
    """The part of a model that a test does not look at."""

    batch_size: int
    hurried = False
    upkeep = Upkeep()

    def save(self, rows: Mask) -> None:
        pass

    def restore(self, rows: Mask) -> None:
        pass

    def resize(self, batch_size: int) -> None:
        self.batch_size = batch_size
