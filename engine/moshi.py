"""The production engine: Kyutai's speech-to-text models, all callers in one step.

`MoshiModel` is a Model: the networks (net.py) say a token and four pause probabilities for each frame of each row, and
from those every row's own words, ends, pauses and steps are made. It also keeps the model well over hours:

- Its attention sees the last `context` frames (a minute of the 1B model). Before they are full, best in a pause, the
  language model starts anew with the last second or two of what it heard and said.
- A row that hears speech and says nothing has stalled: it reads again what was said since its last word.
- A row whose figures are not finite is started anew, so that nobody else is touched by what happened to it.
"""

import copy
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.base import PCM, SAMPLE_RATE, EngineConfig, Timestamps, Upkeep
from engine.batch import Mask
from engine.checkpoint import Files, find, fitting_rows, free_memory, row_bytes
from engine.errors import Misuse, Unavailable
from engine.events import Pause, Step, Word
from engine.loop import BatchedEngine
from engine.pause import Endpoint
from engine.slots import Behind, ModelEvent
from engine.watchdog import Watchdog
from engine.words import FRAME_SECONDS, PAD, WORD_START, Timing, Words

if TYPE_CHECKING:
    from engine.net import Net, Snapshot

MOSHI = "0.2.13"
PACKAGES = ("torch", "moshi", "einops", "huggingface_hub", "safetensors", "sentencepiece")
GPU_ROWS = 256  # rows at most, where memory would have more: what a step of 80 ms can be made for
CPU_ROWS = 16
TAIL = 4  # steps beyond the delay in which a word's further pieces come, and the padding that ends it
FLUSH_SLACK = 1  # steps that a flush may take beyond the delay
ROOM = 0.6  # of the context: from here on a pause is used to start anew
CROWDED = 0.75  # from here on one row a step is started anew, the fullest first, paused or not
FULL = 0.8  # ... and here several ...
MOST_REFRESHED = 4  # ... in one step: all of GPU_ROWS have their turn before the context of even 375 frames is full
REPLAYED = 12  # frames beyond the delay that a fresh start is given
LEAD = 6  # frames before the last word from which a stalled row reads again
MOST_REWOUND = 250  # frames: 20 s
SMALL = 100_000_000  # bytes of networks that a single core steps faster than several
CATCH_UP = 2  # frames that a row which reads again may read in a step beside its own ...
RATION = 3  # ... or one frame in so many steps, when steps are slow: 70 % of a frame's time is 93 % with it
MOST_LOSSES = 3  # fresh starts that do not make a row finite: more, of everybody's, and the networks are spoiled

logger = logging.getLogger(__name__)


def moshi_engine(config: EngineConfig) -> BatchedEngine:
    """The engine with the model that `config.model` names; nothing is loaded yet."""
    return BatchedEngine(lambda: load_model(config), config.capacity)


def check_installed() -> None:
    """Raise Unavailable with the command where a package is missing, or moshi is not the one that was tried."""
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise Unavailable(
            f"the moshi engine is not installed ({missing[0]} is missing): `make run ENGINE=moshi` installs it"
        )
    if version("moshi") != MOSHI:
        raise Unavailable(
            f"moshi {version('moshi')} is installed, the engine needs {MOSHI}: pip install --no-deps moshi=={MOSHI}"
        )


def load_model(config: EngineConfig) -> "MoshiModel":
    """Fetch the model if it is not here, load it onto the GPU if there is one. Raises Unavailable with the reason."""
    check_installed()
    files = find(config.model)
    import torch

    from engine.net import Net

    gpu = torch.cuda.is_available()
    rows = _rows(files, config.capacity, torch.cuda.mem_get_info()[0] if gpu else free_memory(), gpu=gpu)
    device, dtype = ("cuda", torch.bfloat16) if gpu else ("cpu", torch.float32)
    if files.weights < SMALL:
        torch.set_num_threads(1)
    mimi, lm, tokenizer = load_networks(files, device, dtype)
    settings = SpeechSettings.of(files)
    net = Net(mimi, lm, rows, temperature=config.temperature, prefix=settings.prefix)
    model = MoshiModel(net, tokenizer.decode, settings.delay, timestamps=config.timestamps)
    model.warm_up()
    logger.info("%s is loaded on %s: %d rows", files.name, device, rows)
    return model


def load_networks(files: Files, device: str, dtype: Any) -> tuple[Any, Any, Any]:
    """Mimi, the language model and the tokenizer."""
    from moshi.models.loaders import CheckpointInfo

    info = CheckpointInfo.from_hf_repo(
        files.name,
        moshi_weights=files.lm,
        mimi_weights=files.mimi,
        tokenizer=files.tokenizer,
        config_path=files.config,
        mimi_config_path=files.mimi_config,
    )
    return info.get_mimi(device), info.get_moshi(device, dtype=dtype), info.get_text_tokenizer()


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """What config.json says of the speech: the seconds that text is behind it, the frames of silence put before it."""

    delay: float
    prefix: int

    @classmethod
    def of(cls, files: Files) -> "SpeechSettings":
        stt = files.settings()["stt_config"]
        return cls(stt["audio_delay_seconds"], round(stt.get("audio_silence_prefix_seconds", 0.0) / FRAME_SECONDS))


class MoshiModel:
    """A Model made of `net`. `decode` turns tokens to text; text comes `delay` seconds after its sound."""

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        net: "Net",
        decode: Callable[[Sequence[int]], str],
        delay: float,
        *,
        timestamps: Timestamps = "accurate",
        refreshing: bool = True,
    ) -> None:
        self.frame_size = net.frame_size
        self.delay = math.ceil(delay / FRAME_SECONDS) + TAIL
        self.upkeep = Upkeep()
        self.hurried = False
        self._net = net
        self._decode = decode
        self._timing = Timing.of(delay, timestamps)
        self._lag = math.ceil(delay / FRAME_SECONDS)
        self._refreshing = refreshing
        self._rows: list[_Row] = []
        self._seat(net.batch_size)

    def resize(self, batch_size: int) -> None:
        """Hold so many rows, all of them new."""
        self._net.resize(batch_size)
        self._seat(batch_size)

    def warm_up(self) -> None:
        """Step once with every row, so that no caller waits for what is made at the first step."""
        everybody = np.ones(self.batch_size, dtype=np.bool_)
        self.step(np.zeros((self.batch_size, self.frame_size), dtype=np.float32), everybody, everybody)

    def step(self, pcm: PCM, active: Mask, reset: Mask) -> Sequence[Sequence[ModelEvent]]:
        """Hear one frame of each active row. Raises ArithmeticError once nothing finite comes any more of anybody."""
        if reset.any():
            self._net.reset(reset)
            for row in np.flatnonzero(reset).tolist():
                self._rows[row] = self._new_row()
        heard = self._net.step(pcm, active)
        power = (np.einsum("bf,bf->b", pcm, pcm) / self.frame_size).tolist()
        rows = np.flatnonzero(active).tolist()
        said: list[list[ModelEvent]] = [[] for _ in range(self.batch_size)]
        for row in rows:
            if heard.sound[row]:
                said[row] = self._rows[row].hear(heard.tokens[row], heard.pauses[row], power[row])
            else:
                said[row] = self._rescue(row, skipped=1)
        if rows and all(self._rows[row].losses > MOST_LOSSES for row in rows):
            raise ArithmeticError("the networks say what is not finite, however often they start anew")
        self._catch_up(rows, said)
        self._refresh(rows)
        self._wake(rows)
        for row in rows:
            if self._rows[row].behind:
                said[row].append(Behind())
        return said

    def save(self, rows: Mask) -> None:
        """Remember these rows as they are, for the steps of a flush and for those in which they read what is behind."""
        for row in np.flatnonzero(rows).tolist():
            one = self._rows[row]
            steps = max(self.delay, one.behind * RATION) + FLUSH_SLACK  # it may be hurried in all of them
            one.save(self._net.save(row, steps, one.behind), steps)

    def restore(self, rows: Mask) -> None:
        """These rows are again as they were when they were saved. Raises Misuse when they were not, or went too far."""
        for row in np.flatnonzero(rows).tolist():
            self._rows[row], snapshot = self._rows[row].restored()
            self._net.restore(row, snapshot)

    def _seat(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._rows = [self._new_row() for _ in range(batch_size)]

    def _new_row(self) -> "_Row":
        return _Row(Words(self._decode, self._timing), Endpoint(self._lag))

    def _rescue(self, row: int, skipped: int) -> list[ModelEvent]:
        """Start a row anew whose figures are not finite; its time goes on."""
        one = self._rows[row]
        one.losses += 1
        self.upkeep = replace(self.upkeep, losses=self.upkeep.losses + 1)
        if one.losses <= MOST_LOSSES:
            logger.error("row %d is not finite and starts anew", row)
        self._net.reset(self._mask([row]))
        return one.begin_again(skipped)

    def _catch_up(self, rows: Iterable[int], said: list[list[ModelEvent]]) -> None:
        """Rows that read again read a little faster than they hear. Each pass takes the time of everybody."""
        if self.hurried and not any(self._rows[row].impatient for row in rows):
            return
        for _ in range(1 if self.hurried else CATCH_UP):
            behind = [row for row in rows if self._rows[row].behind]
            if not behind:
                return
            heard = self._net.catch_up(self._mask(behind))
            for row in behind:
                if heard.sound[row]:
                    said[row] += self._rows[row].read_more(heard.tokens[row], heard.pauses[row])
                else:
                    said[row] += self._rescue(row, skipped=0)

    def _refresh(self, rows: Iterable[int]) -> None:
        """Give rows room whose context fills up, the fullest first: one row a step, a few where time runs out."""
        if not self._refreshing:
            return
        filled = [(self._rows[row].read / self._net.context, row) for row in rows if self._rows[row].may_restart]
        crowded = [one for one in filled if one[0] >= (ROOM if self._rows[one[1]].quiet else CROWDED)]
        full = sum(share >= FULL for share, _ in filled)
        for _, row in sorted(crowded, reverse=True)[: max(1, min(full, MOST_REFRESHED))]:
            frames = min(self._lag + REPLAYED, self._rows[row].read)
            self._net.refresh(row, frames)
            self._rows[row].read = frames
            self.upkeep = replace(self.upkeep, refreshes=self.upkeep.refreshes + 1)

    def _wake(self, rows: Iterable[int]) -> None:
        """A row that has stalled reads again; if that did not help, it starts anew; then it is left alone."""
        for row in rows:
            one = self._rows[row]
            if not one.stalled:
                continue
            one.stalled = False
            one.attempts += 1
            if one.attempts > 2:
                if one.attempts == 3:
                    logger.warning("row %d hears speech and still says nothing: it is left alone until it does", row)
                continue
            self.upkeep = replace(self.upkeep, stalls=self.upkeep.stalls + 1)
            frames = one.rewind(self._lag + LEAD) if one.attempts == 1 else 0
            logger.warning("row %d hears speech and says nothing: it starts anew, %d frames back", row, frames)
            if frames:
                self._net.rewind(row, frames)
            else:
                self._net.reset(self._mask([row]))
                one.begin_again(skipped=0)

    def _mask(self, rows: Sequence[int]) -> Mask:
        mask = np.zeros(self.batch_size, dtype=np.bool_)
        mask[list(rows)] = True
        return mask


class _Row:
    """What one caller's row has said so far.

    `read`: frames in the language model's context; `behind`: frames heard that it is still to read again; `waited`:
    steps, while it was behind, since it last read beside its own frame; `stalled`: it is to be woken; `attempts`: how
    often it was woken since its last word; `losses`: fresh starts, one after the other, because it was not finite.
    """

    def __init__(self, words: Words, endpoint: Endpoint) -> None:
        self.words = words
        self.read = 0
        self.behind = 0
        self.waited = 0
        self.stalled = False
        self.attempts = 0
        self.losses = 0
        self._endpoint = endpoint
        self._watchdog = Watchdog()
        self._heard = 0  # frames since the networks began with this row
        self._begun = 0  # the frame in which the last word's first piece came
        self._saved: tuple[_Row, Snapshot] | None = None
        self._undo_within = 0  # steps in which what was saved can be restored

    @property
    def quiet(self) -> bool:
        """Whether no word is being formed."""
        return not self.words.speaking

    @property
    def impatient(self) -> bool:
        """Whether it is behind, and must read more in this step even when steps are slow."""
        return self.behind > 0 and self.waited >= RATION

    @property
    def may_restart(self) -> bool:
        """Whether the language model may start anew: not while it catches up, nor in a flush that will be undone."""
        return not self.behind and self._saved is None

    def hear(self, token: int, pauses: Sequence[float], power: float) -> list[ModelEvent]:
        """One step: a token, the pause probabilities, the mean square of the frame."""
        self._undo_within -= 1
        self._heard += 1
        self.waited += self.behind > 0
        self.losses = 0
        said = self._say(token, pauses)
        if self.may_restart:
            self.stalled = self._watchdog.hear(power, word=token not in (PAD, WORD_START))
        if pauses:
            said.append(Step(0, tuple(pauses), 0.0))
        return said

    def read_more(self, token: int, pauses: Sequence[float]) -> list[ModelEvent]:
        """A frame that is read again."""
        self.behind -= 1
        self.waited = 0
        return self._say(token, pauses)

    def begin_again(self, skipped: int) -> list[ModelEvent]:
        """The networks start anew, without a past; `skipped` frames are not read at all."""
        self.words.frame += self.behind + skipped
        self.read = self.behind = self._heard = 0
        self._watchdog = Watchdog()
        return [*self.words.drop()]

    def rewind(self, lead: int) -> int:
        """Go back to `lead` frames before the last word, or to the beginning; how many frames that is."""
        oldest = max(self._begun - lead, 0) if self.words.last else 0
        frames = min(self.words.frame - oldest, self._heard, MOST_REWOUND)
        self.words.rewind(frames)
        self.behind, self.read = frames, 0
        return frames

    def save(self, snapshot: "Snapshot", steps: int) -> None:
        """Remember this row as it is, for so many steps."""
        self._saved = (self._copy(), snapshot)
        self._undo_within = steps

    def restored(self) -> tuple["_Row", "Snapshot"]:
        """The row as it was saved."""
        if self._saved is None or self._undo_within < 0:
            raise Misuse("a row is restored that was not saved, or too many steps ago")
        return self._saved

    def _copy(self) -> "_Row":
        twin = copy.copy(self)
        twin.words, twin._endpoint = copy.copy(self.words), copy.copy(self._endpoint)  # nobody watches until it is back
        twin._saved = None
        return twin

    def _say(self, token: int, pauses: Sequence[float]) -> list[ModelEvent]:
        self.read += 1
        before = self.words.forming
        said: list[ModelEvent] = [*self.words.hear(token)]
        if self.words.forming and not before:
            self._begun = self.words.frame - 1
        words = [event.text for event in said if isinstance(event, Word)]
        if words:
            self.attempts = 0
        if self._endpoint.hear(pauses, word=words[-1] if words else "", speaking=self.words.speaking):
            said.append(Pause(self.words.ended))
        return said


def _rows(files: Files, wanted: int, free: int, *, gpu: bool) -> int:
    """The rows to make: as many as are wanted, or as there is memory for. On a CPU numbers are twice as wide."""
    size = row_bytes(files.settings(), files.codec(), 2 if gpu else 4)
    return fitting_rows(files.weights * (1 if gpu else 2), size, free, wanted, GPU_ROWS if gpu else CPU_ROWS)
