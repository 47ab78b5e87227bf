"""The streaming state of moshi's modules, row by row: every reach into the private parts of moshi 0.2.13.

moshi keeps a State with each module: tensors whose first dimension is the row, and for attention a ring of keys and
values. What it offers is enough to step all rows. What is missing is here: to copy a row's state, to step one row
alone, to remember what a few steps will overwrite, and to write the state in place only, so that a step can be recorded
as a CUDA graph. tests/engine/test_net.py holds this to a single stream's exact tokens; another version of moshi needs
another look.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from moshi.modules.conv import _StreamingConv1dState

Tensor = torch.Tensor


class _InPlaceConv1dState(_StreamingConv1dState):
    """moshi replaces `first` at every step; this writes it in place."""

    def __setattr__(self, name: str, value: Any) -> None:
        present = self.__dict__.get("first")
        if name == "first" and present is not None:
            present.copy_(value)
        else:
            super().__setattr__(name, value)


def strip_decoder(mimi: Any) -> None:
    """Forget what turns codes into sound, before `mimi` streams: its weights and 8 MB a row that nobody needs."""
    assert not mimi.is_streaming, "its state is already there"
    mimi.decoder, mimi.decoder_transformer, mimi.upsample = torch.nn.Identity(), None, torch.nn.Identity()
    mimi._cached_children = None


def write_in_place(module: Any) -> None:
    """From now on no step of `module` replaces a tensor of its state."""
    for state in module.get_streaming_state().values():
        if type(state) is _StreamingConv1dState:
            state.__class__ = _InPlaceConv1dState


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A tensor that holds something of each row, along its dimension `dim`."""

    tensor: Tensor
    dim: int

    def row(self, row: int) -> Tensor:
        """What it holds of one row: a view."""
        return self.tensor.narrow(self.dim, row, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Ring:
    """Keys and values of one attention: a step writes `width` entries of each row from `end` on, all around."""

    cache: Tensor  # (2, B, heads, capacity, D)
    end: Tensor  # (B,)
    width: int

    def entries(self, row: int, steps: int) -> Tensor:
        """The indices that so many steps of a row will write. One more is what a step of others writes meanwhile."""
        count = min((steps + 1) * self.width, self.cache.shape[3])
        return (self.end[row] + torch.arange(count, device=self.end.device)) % self.cache.shape[3]

    def read(self, row: int, entries: Tensor) -> Tensor:
        """A copy of these entries."""
        return self.cache[:, row].index_select(2, entries)

    def write(self, row: int, entries: Tensor, values: Tensor) -> None:
        """Put a copy back."""
        self.cache[:, row].index_copy_(2, entries, values)


def parts_of(module: Any) -> list[Part]:
    """Everything that a streaming module remembers of its rows, the rings' keys and values included."""
    found: list[Part] = []
    for state in module.get_streaming_state().values():
        found += [Part(tensor, 0) for tensor in _tensors(state, state.batch_size)]
        if (ring := getattr(state, "kv_cache", None)) is not None:
            found += [Part(ring.cache, 1), Part(ring.end_offset, 0)]
    return found


def rings_of(module: Any, width: int) -> list[Ring]:
    """The rings of a streaming module whose attention is given `width` positions a step."""
    rings = [getattr(state, "kv_cache", None) for state in module.get_streaming_state().values()]
    return [Ring(ring.cache, ring.end_offset, width) for ring in rings if ring is not None]


def _tensors(state: Any, rows: int) -> Iterator[Tensor]:
    for value in vars(state).values():
        if isinstance(value, Tensor) and value.dim() and value.shape[0] == rows:
            yield value


@contextmanager
def alone(module: Any, row: int) -> Iterator[None]:
    """Within it, `module` streams a batch of one, which is this row; the others stay as they are."""
    whole = module.get_streaming_state()
    module.set_streaming_state({name: _row_of(state, row) for name, state in whole.items()})
    try:
        yield
    finally:
        module.set_streaming_state(whole)


def _row_of(state: Any, row: int) -> Any:
    """The same state, its tensors views on one row."""
    view = copy.copy(state)
    for name, value in vars(state).items():
        if isinstance(value, Tensor) and value.dim() and value.shape[0] == state.batch_size:
            view.__dict__[name] = value[row : row + 1]
    if getattr(state, "kv_cache", None) is not None:
        view.__dict__["kv_cache"] = ring = copy.copy(state.kv_cache)
        ring.cache, ring.end_offset = state.kv_cache.cache[:, row : row + 1], state.kv_cache.end_offset[row : row + 1]
    view.__dict__["batch_size"] = 1
    view.__dict__["_set_exec_mask_graphed"] = None
    return view
