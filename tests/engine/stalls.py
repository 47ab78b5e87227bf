"""A model that falls silent in one row while somebody speaks, until it is woken."""

from itertools import cycle, islice

import pytest
import torch

from engine.base import PCM
from engine.moshi import MoshiModel
from engine.words import PAD
from tests.engine.digits import recite

HEARD = 29  # frames of `busy` after which the model is between two words


def busy(seconds: float) -> tuple[PCM, list[str]]:
    """Somebody who speaks without pauses."""
    said = list(islice(cycle(("one", "five", "two", "nine", "three")), int((seconds - 0.4) / 0.52)))
    return recite(said, gap=0.22), said


def silence(model: MoshiModel, patch: pytest.MonkeyPatch, row: int = 0, *, for_ever: bool = False) -> None:
    """From now on the row says nothing, until it is made to read again."""
    net = model._net
    choose, rewind = net._choose, net.rewind

    def silenced(logits: torch.Tensor) -> torch.Tensor:
        tokens = choose(logits)
        tokens[row] = PAD
        return tokens

    def woken(row: int, frames: int) -> None:
        patch.setattr(net, "_choose", choose)
        rewind(row, frames)

    patch.setattr(net, "_choose", silenced)
    if not for_ever:
        patch.setattr(net, "rewind", woken)
