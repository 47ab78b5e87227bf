"""Kyutai's two networks, Mimi and the language model, stepping all rows at once.

A step hears one frame (80 ms) of each active row: Mimi turns it into codes, which are remembered; the language model
reads the oldest codes it has not read, beside the piece of text it said last, and says the next one and how likely a
pause is. This is done by hand and not with moshi's LMGen, so that every tensor is written in place, the text goes back
into the model without leaving the device, and one small read a step is all that the host waits for.

A row begins as a copy of a template, which has read the start tokens (and the silence that some models want first):
what comes before the first frame is the same for everybody. moshi-server reads them together with the first frame and
stays one frame late; the tokens are the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from moshi.utils.compile import no_compile, no_cuda_graph

from engine.base import PCM
from engine.states import Part, Ring, alone, parts_of, rings_of, strip_decoder, write_in_place

Mask = npt.NDArray[np.bool_]  # (B,)
Tensor = torch.Tensor

REMEMBERED = 256  # frames of codes that are kept of each row: 20 s
LEAST_NOISE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What one pass of the language model said, for every row. Rows that were not in it are to be ignored."""

    tokens: Sequence[int]  # (B,)
    sound: Sequence[bool]  # (B,) False: something is not finite, and the row is lost until it is reset
    pauses: Sequence[Sequence[float]]  # (B, heads)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One row as it was, but for what further steps would not have changed."""

    parts: Sequence[Tensor]
    rings: Sequence[tuple[Tensor, Tensor]]  # (entries, values)


class Net:
    """The networks and the state of `batch_size` rows. It belongs to one thread.

    `temperature` 0 takes the likeliest token. `prefix`: frames of silence before a row's first one.
    """

    def __init__(self, mimi: Any, lm: Any, batch_size: int, *, temperature: float = 0.0, prefix: int = 0) -> None:
        self.frame_size: int = mimi.frame_size
        self.context: int = lm.context
        self.heads = len(lm.extra_heads)
        self._mimi, self._lm = mimi, lm
        self._temperature = temperature
        self._prefix = prefix
        self._streaming = ExitStack()
        self._reading_rings: Sequence[Ring] = ()
        self._hearing_rings: Sequence[Ring] = ()
        self._reading: Sequence[Part] = ()  # of the language model
        self._hearing: Sequence[Part] = ()  # of Mimi, and ours
        self._small: Sequence[Part] = ()  # of both, without the rings' keys and values
        self._fresh_reading: Sequence[Tensor] = ()  # the template's
        self._fresh_hearing: Sequence[Tensor] = ()
        strip_decoder(mimi)
        self.resize(batch_size)

    def resize(self, batch_size: int) -> None:
        """Hold so many rows, all of them new."""
        self.close()
        self.batch_size = batch_size
        for module in (self._mimi, self._lm):
            self._streaming.enter_context(module.streaming(batch_size))
            write_in_place(module)
        self._allocate(next(self._mimi.parameters()))
        latents_a_frame = int(self._mimi.encoder_frame_rate / self._mimi.frame_rate)
        self._hearing_rings = rings_of(self._mimi, latents_a_frame)
        self._reading_rings = rings_of(self._lm, 1)
        self._reading = parts_of(self._lm)
        ours = (self._text, self._codes, self._said, self._heard, self._read)
        self._hearing = [*parts_of(self._mimi), *(Part(tensor, 0) for tensor in ours)]
        with _plainly():
            self._make_template()
        self.reset(np.ones(batch_size, dtype=np.bool_))

    def close(self) -> None:
        """Give the rows' state back; the networks can stream again."""
        self._streaming.close()
        self._reading_rings = self._hearing_rings = ()
        self._reading = self._hearing = self._small = ()
        self._fresh_reading = self._fresh_hearing = ()

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self._text.device

    def reset(self, rows: Mask) -> None:
        """The past of these rows is forgotten; nothing of it is left in any cache."""
        index = self._index(rows)
        self._restart(self._reading, self._fresh_reading, index)
        self._restart(self._hearing, self._fresh_hearing, index)

    def step(self, pcm: PCM, active: Mask) -> Heard:
        """Hear a frame (B, F) of the active rows (B,)."""
        with _plainly():
            self._pcm.copy_(torch.from_numpy(pcm))
            self._active.copy_(torch.from_numpy(active))
            self._listen()
            self._speak()
        return self._told()

    def catch_up(self, rows: Mask) -> Heard:
        """Read one more frame of what these rows have heard and not read."""
        with _plainly():
            self._active.copy_(torch.from_numpy(rows))
            self._speak()
        return self._told()

    def refresh(self, row: int, frames: int) -> None:
        """The language model starts anew and is given the last `frames` frames, with what it said to them, at once.

        It goes on as before, but with room in its context: Mimi, and what it says next, stay as they are.
        """
        with _plainly():
            self._restart(self._reading, self._fresh_reading, torch.tensor([row], device=self.device))
            where = (self._read[row] - frames + torch.arange(frames, device=self.device)) % REMEMBERED
            codes = self._codes[row : row + 1].index_select(2, where)  # (1, K, frames)
            said = self._said[row : row + 1].index_select(1, where)  # (1, frames)
            with alone(self._lm, row):
                self._lm.set_exec_mask(torch.ones(1, dtype=torch.bool, device=self.device))
                self._lm.forward_text(torch.cat([said[:, None], codes], 1))

    def rewind(self, row: int, frames: int) -> None:
        """The language model starts anew, and is to read the last `frames` frames once more (see `catch_up`)."""
        assert frames < REMEMBERED
        with torch.no_grad():
            self._restart(self._reading, self._fresh_reading, torch.tensor([row], device=self.device))
            self._text[row] = self._first_text
            self._read[row] -= frames

    def save(self, row: int, steps: int, behind: int = 0) -> Snapshot:
        """The row as it is, to be restored after at most so many steps, and as many passes as it is frames `behind`."""
        with torch.no_grad():
            rings = [(ring, ring.entries(row, steps)) for ring in self._hearing_rings]
            rings += [(ring, ring.entries(row, steps + behind)) for ring in self._reading_rings]
            return Snapshot(
                [part.row(row).clone() for part in self._small],
                [(entries, ring.read(row, entries)) for ring, entries in rings],
            )

    def restore(self, row: int, snapshot: Snapshot) -> None:
        """The row as it was."""
        with torch.no_grad():
            for part, value in zip(self._small, snapshot.parts, strict=True):
                part.row(row).copy_(value)
            rings = (*self._hearing_rings, *self._reading_rings)
            for ring, (entries, values) in zip(rings, snapshot.rings, strict=True):
                ring.write(row, entries, values)

    def _allocate(self, like: Tensor) -> None:
        rows, codebooks, device = self.batch_size, self._lm.n_q, like.device

        def whole(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.long, device=device)

        self._pcm = torch.zeros(rows, self.frame_size, dtype=like.dtype, device=device)  # (B, F)
        self._active = torch.zeros(rows, dtype=torch.bool, device=device)  # (B,)
        self._text = whole(rows)  # (B,) what the language model said last
        self._codes = whole(rows, codebooks, REMEMBERED)  # (B, K, R) what Mimi heard
        self._said = whole(rows, REMEMBERED)  # (B, R) the text read beside each of the codes
        self._heard = whole(rows)  # (B,) frames that Mimi heard
        self._read = whole(rows)  # (B,) frames that the language model read
        self._sound = torch.ones(rows, dtype=torch.bool, device=device)  # (B,) whether Mimi's last frame is finite
        self._out = torch.zeros(rows, 2 + self.heads, device=device)  # (B, 2 + H) token, sound, pauses

    def _make_template(self) -> None:
        """Row 0 reads the start tokens, then silence; every row begins as a copy of it."""
        with alone(self._lm, 0):
            _, logits = self._lm.forward_text(self._lm._get_initial_token())
            self._text[0] = self._choose(logits[:, 0, 0])[0]
        self._active[0] = True
        for _ in range(self._prefix):
            self._listen()
            self._speak()
        self._first_text = self._text[0].clone()
        self._fresh_reading = [part.row(0).clone() for part in self._reading]
        self._fresh_hearing = [part.row(0).clone() for part in self._hearing]
        caches = {id(ring.cache) for ring in (*self._hearing_rings, *self._reading_rings)}
        self._small = [part for part in (*self._reading, *self._hearing) if id(part.tensor) not in caches]

    def _restart(self, parts: Sequence[Part], fresh: Sequence[Tensor], index: Tensor) -> None:
        with torch.no_grad():
            for part, value in zip(parts, fresh, strict=True):
                shape = list(value.shape)
                shape[part.dim] = len(index)
                part.tensor.index_copy_(part.dim, index, value.expand(shape))

    def _listen(self) -> None:
        """Mimi: the frame of the active rows becomes codes."""
        self._mimi.set_exec_mask(self._active)
        latent = self._mimi.encode_to_latent(self._pcm[:, None], quantize=False)  # (B, D, 1)
        codes = self._mimi.quantizer.encode(latent)  # (B, K, 1)
        self._sound.copy_(latent.isfinite().all(dim=(1, 2)))
        where = (self._heard % REMEMBERED)[:, None, None].expand_as(codes)
        self._codes.scatter_(2, where, codes)  # of a row that is not active it is the oldest, which nobody will read
        self._heard.add_(self._active)

    def _speak(self) -> None:
        """The language model: a frame of the active rows becomes a token."""
        self._lm.set_exec_mask(self._active)
        where = (self._read % REMEMBERED)[:, None]  # (B, 1)
        codes = self._codes.gather(2, where[:, None].expand(-1, self._codes.shape[1], -1))  # (B, K, 1)
        self._said.scatter_(1, where, self._text[:, None])
        hidden, logits = self._lm.forward_text(torch.cat([self._text[:, None, None], codes], 1))
        logits = logits[:, 0, 0]  # (B, text_card)
        token = self._choose(logits)
        self._text.copy_(torch.where(self._active, token, self._text))
        self._read.add_(self._active)
        self._out[:, 0] = token
        self._out[:, 1] = self._sound & logits.isfinite().all(dim=1)
        for index, head in enumerate(self._lm.extra_heads):
            self._out[:, 2 + index] = _precise(head(hidden)[:, 0]).softmax(dim=-1)[:, 0]

    def _choose(self, logits: Tensor) -> Tensor:
        """The next token of each row (B,): the likeliest, or one drawn by its likelihood (Gumbel's trick)."""
        logits = _precise(logits)
        if self._temperature > 0:
            noise = torch.empty_like(logits).exponential_().clamp_(min=LEAST_NOISE)
            logits = logits / self._temperature - noise.log()
        return logits.argmax(dim=-1)

    def _told(self) -> Heard:
        out = self._out.cpu().numpy()
        return Heard(out[:, 0].astype(np.int64).tolist(), (out[:, 1] > 0).tolist(), out[:, 2:].tolist())

    def _index(self, rows: Mask) -> Tensor:
        return torch.from_numpy(np.flatnonzero(rows)).to(self.device)


def _precise(tensor: Tensor) -> Tensor:
    """At least single precision."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


@contextmanager
def _plainly() -> Iterator[None]:
    """No gradients, and neither the compiled pieces nor the small CUDA graphs that moshi makes by itself."""
    with torch.no_grad(), no_compile(), no_cuda_graph():
        yield
