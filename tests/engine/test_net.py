"""The batched networks against moshi's own, one stream at a time: the same tokens, whoever else is in the batch."""

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from engine.base import FRAME_SAMPLES, PCM
from engine.net import Heard, Mask, Net
from engine.states import parts_of
from tests.engine.oracle import Caller, Floats, Networks, Reset, callers, come_and_go, noise, random_networks, streaming

DOUBLE, SINGLE = torch.float64, torch.float32
ROWS = 5
SOME = 9  # callers, three of them long


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Networks as small as these are slower with two."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def networks() -> Networks:
    return random_networks(0, DOUBLE)


@pytest.fixture(scope="module")
def expected(networks: Networks) -> list[tuple[list[int], Floats]]:
    """What a smaller crowd is to be told."""
    return [networks.alone(caller.pcm) for caller in crowd_of(0)[:SOME]]


def mask(*rows: int, of: int = ROWS) -> Mask:
    found = np.zeros(of, dtype=np.bool_)
    found[list(rows)] = True
    return found


def differing(networks: Networks, crowd: Sequence[Caller], tolerance: float, prefix: int = 0) -> int:
    """How many callers were not heard as if they had been alone."""
    return sum(caller.differs(networks.alone(caller.pcm, prefix), tolerance) for caller in crowd)


def crowd_of(seed: int) -> list[Caller]:
    """Thirteen callers: short ones, others who wrap every ring, and one who wraps them three to ten times."""
    rng = np.random.default_rng(100 + seed)
    return callers(rng, 6, 3, 20) + callers(rng, 6, 26, 34) + callers(rng, 1, 80, 80)


def say(net: Net, row: int, pcm: PCM) -> tuple[list[int], list[Sequence[float]]]:
    """Let one row hear this, while the others are given rubbish."""
    rng = np.random.default_rng(0)
    tokens, pauses = list[int](), list[Sequence[float]]()
    for start in range(0, len(pcm), FRAME_SAMPLES):
        frames = rng.standard_normal((net.batch_size, FRAME_SAMPLES)).astype(np.float32)
        frames[row] = pcm[start : start + FRAME_SAMPLES]
        heard = net.step(frames, mask(row, of=net.batch_size))
        tokens.append(heard.tokens[row])
        pauses.append(heard.pauses[row])
    return tokens, pauses


@pytest.mark.parametrize("seed", range(4))
def test_everyone_is_heard_as_if_alone(seed: int) -> None:
    """Thirteen callers for each of the seeds, through five rows."""
    networks, crowd = random_networks(seed, DOUBLE), crowd_of(seed)
    with streaming(networks, ROWS) as net:
        come_and_go(net.reset, net.step, ROWS, crowd, np.random.default_rng(seed))
    assert differing(networks, crowd, 1e-6) == 0
    assert len({token for caller in crowd for token in caller.tokens}) > 10, "networks that say little prove little"


def test_single_precision_tips_a_code_that_stands_between_two_at_most() -> None:
    """Codes are the nearest of many, and here they are noise: now and then two are as near."""
    networks, crowd = random_networks(0, SINGLE), crowd_of(0)[:SOME]
    with streaming(networks, ROWS) as net:
        come_and_go(net.reset, net.step, ROWS, crowd, np.random.default_rng(0))
    assert differing(networks, crowd, 1e-4) <= 1


def test_a_model_without_pause_heads_says_the_same_words() -> None:
    networks = random_networks(0, DOUBLE, heads=0)
    crowd = crowd_of(0)[:7]
    with streaming(networks, ROWS) as net:
        assert net.heads == 0
        come_and_go(net.reset, net.step, ROWS, crowd, np.random.default_rng(0))
    tokens = [networks.alone(caller.pcm)[0] for caller in crowd]
    assert [caller.tokens for caller in crowd] == tokens
    assert not any(pauses for caller in crowd for pauses in caller.pauses)


def test_silence_before_the_first_frame_costs_a_caller_no_step(networks: Networks) -> None:
    crowd = crowd_of(0)[:7]
    with streaming(networks, ROWS, prefix=13) as net:
        come_and_go(net.reset, net.step, ROWS, crowd, np.random.default_rng(0))
    assert differing(networks, crowd, 1e-6, prefix=13) == 0


class TestTheOracleNoticesWhenSomethingIsWrong:
    """Negative controls: each takes one thing away that the batch needs."""

    def misheard(self, net: Net, expected: Sequence[tuple[list[int], Floats]], reset: Reset | None = None) -> int:
        """How many callers of the crowd are told something else."""
        crowd = crowd_of(0)[:SOME]
        come_and_go(reset or net.reset, net.step, ROWS, crowd, np.random.default_rng(0))
        return sum(caller.differs(told, 1e-6) for caller, told in zip(crowd, expected, strict=True))

    def test_nothing_is_wrong(self, networks: Networks, expected: Sequence[tuple[list[int], Floats]]) -> None:
        with streaming(networks, ROWS) as net:
            assert self.misheard(net, expected) == 0

    def test_without_resets(self, networks: Networks, expected: Sequence[tuple[list[int], Floats]]) -> None:
        with streaming(networks, ROWS) as net:
            assert self.misheard(net, expected, reset=lambda rows: None) > 2

    @pytest.mark.parametrize("module", ["mimi", "lm"])
    def test_without_a_mask(
        self,
        networks: Networks,
        expected: Sequence[tuple[list[int], Floats]],
        monkeypatch: pytest.MonkeyPatch,
        module: str,
    ) -> None:
        with streaming(networks, ROWS) as net:
            monkeypatch.setattr(getattr(networks, module), "set_exec_mask", lambda active: None)
            assert self.misheard(net, expected) > 2

    def test_with_the_reset_after_the_mask(
        self, networks: Networks, expected: Sequence[tuple[list[int], Floats]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """moshi's own reset lets a row take part in the step: it must come before the mask."""
        mimi, late = networks.mimi, list[Mask]()
        set_exec_mask = mimi.set_exec_mask

        def mask_then_reset(active: torch.Tensor) -> None:
            set_exec_mask(active)
            while late:
                mimi.reset_streaming(torch.from_numpy(late.pop()))

        def reset(rows: Mask) -> None:
            net.reset(rows)
            late.append(rows.copy())

        with streaming(networks, ROWS) as net:
            monkeypatch.setattr(mimi, "set_exec_mask", mask_then_reset)
            assert self.misheard(net, expected, reset) > 0


def test_no_tensor_is_replaced_by_a_step(networks: Networks) -> None:
    """A CUDA graph goes on reading the tensors that it was recorded with."""
    with streaming(networks, ROWS) as net:
        net.step(np.zeros((ROWS, FRAME_SAMPLES), np.float32), mask(0, 1))

        def places() -> dict[str, int]:
            own = {name: value.data_ptr() for name, value in vars(net).items() if isinstance(value, torch.Tensor)}
            modules = (("mimi", networks.mimi), ("lm", networks.lm))
            return own | {f"{n} {i}": p.tensor.data_ptr() for n, m in modules for i, p in enumerate(parts_of(m))}

        before = places()
        for step in range(30):
            if step % 7 == 0:
                net.reset(mask(step % ROWS))
            snapshot = net.save(3, 4)
            net.step(np.zeros((ROWS, FRAME_SAMPLES), np.float32), mask(step % ROWS, 3))
            net.restore(3, snapshot)
        net.refresh(0, 3)
        net.rewind(1, 2)
        net.catch_up(mask(1))
        assert places() == before


def test_moshi_itself_replaces_tensors(networks: Networks) -> None:
    """The control of the test before: once moshi writes in place, `write_in_place` can go."""
    with networks.mimi.streaming(2), torch.no_grad():
        before = {id(part.tensor) for part in parts_of(networks.mimi)}
        networks.mimi.encode(torch.zeros(2, 1, FRAME_SAMPLES, dtype=DOUBLE))
        assert {id(part.tensor) for part in parts_of(networks.mimi)} != before


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e300])
def test_what_is_not_finite_is_seen_and_gone_after_a_reset(networks: Networks, poison: float) -> None:
    pcm = noise(np.random.default_rng(1), 40)
    with streaming(networks, ROWS) as net:
        frames = np.zeros((ROWS, FRAME_SAMPLES), np.float32)
        with np.errstate(over="ignore"):
            frames[2] = poison
        heard = net.step(frames, mask(1, 2))
        assert (heard.sound[1], heard.sound[2]) == (True, False)
        net.reset(mask(2))
        caller = Caller(pcm, *say(net, 2, pcm))
    assert not caller.differs(networks.alone(pcm), 1e-6)


def test_nothing_of_a_row_is_left_after_a_reset(networks: Networks) -> None:
    with streaming(networks, ROWS) as net:
        say(net, 2, noise(np.random.default_rng(1), 40))
        say(net, 4, noise(np.random.default_rng(2), 3))
        net.reset(mask(2))
        parts = [*parts_of(networks.mimi), *parts_of(networks.lm)]
        with streaming(random_networks(0, DOUBLE), ROWS) as fresh:
            new = [*parts_of(fresh._mimi), *parts_of(fresh._lm)]
            # a step of others writes rubbish into the entry that this row will write next
            assert all(torch.equal(a.row(2), b.row(2)) for a, b in zip(parts, new, strict=True))


@pytest.mark.parametrize("heard_before", [3, 15, 40])
def test_a_restored_row_goes_on_as_if_nothing_had_been(networks: Networks, heard_before: int) -> None:
    """Eight frames of silence are said to it and undone, before and after its rings have wrapped; others go on."""
    pcm = noise(np.random.default_rng(3), heard_before + 30)
    head, rest = pcm[: heard_before * FRAME_SAMPLES], pcm[heard_before * FRAME_SAMPLES :]
    with streaming(networks, ROWS) as net:
        before = say(net, 2, head)
        snapshot = net.save(2, 8)
        say(net, 2, np.zeros(8 * FRAME_SAMPLES, np.float32))
        say(net, 1, noise(np.random.default_rng(4), 5))
        net.restore(2, snapshot)
        after = say(net, 2, rest)
    caller = Caller(pcm, before[0] + after[0], before[1] + after[1])
    assert not caller.differs(networks.alone(pcm), 1e-6)


def test_without_the_restore_the_silence_would_be_heard(networks: Networks) -> None:
    pcm = noise(np.random.default_rng(3), 45)
    with streaming(networks, ROWS) as net:
        before = say(net, 2, pcm[: 15 * FRAME_SAMPLES])
        say(net, 2, np.zeros(8 * FRAME_SAMPLES, np.float32))
        after = say(net, 2, pcm[15 * FRAME_SAMPLES :])
    caller = Caller(pcm, before[0] + after[0], before[1] + after[1])
    assert caller.differs(networks.alone(pcm), 1e-6)


def test_a_refreshed_row_goes_on_as_after_the_same_frames_read_one_by_one(networks: Networks) -> None:
    """What is read at once in a fresh context is what a row would have read alone, with the same text put in."""
    pcm = noise(np.random.default_rng(5), 60)
    with streaming(networks, ROWS) as net:
        tokens, _ = say(net, 2, pcm[: 40 * FRAME_SAMPLES])
        net.refresh(2, 12)
        refreshed = say(net, 2, pcm[40 * FRAME_SAMPLES :])
        assert refreshed == read_in_a_fresh_context(networks, pcm, tokens, 12)


def read_in_a_fresh_context(
    networks: Networks, pcm: PCM, tokens: Sequence[int], frames: int
) -> tuple[list[int], list[Sequence[float]]]:
    """The same by hand: one row, whose text is overwritten with `tokens` until its last frame."""
    told = list[int](), list[Sequence[float]]()
    other = random_networks(0, DOUBLE)
    with streaming(other, 1) as net:
        first = len(tokens) - frames
        for index in range(len(pcm) // FRAME_SAMPLES):
            if index == first:  # a fresh context for the language model alone
                net._restart(net._reading, net._fresh_reading, torch.tensor([0]))
            if 0 < index <= len(tokens):
                net._text[0] = tokens[index - 1]
            heard = net.step(pcm[None, index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES], mask(0, of=1))
            if index >= len(tokens):
                told[0].append(heard.tokens[0])
                told[1].append(heard.pauses[0])
    return told


def test_a_rewound_row_reads_again_while_it_goes_on_hearing(networks: Networks) -> None:
    """From the beginning it says the same as it did; in the end it has caught up."""
    pcm = noise(np.random.default_rng(6), 40)
    with streaming(networks, ROWS) as net:
        say(net, 2, pcm[: 20 * FRAME_SAMPLES])
        net.rewind(2, 20)
        tokens, pauses = list[int](), list[Sequence[float]]()

        def take(heard: Heard) -> None:
            tokens.append(heard.tokens[2])
            pauses.append(heard.pauses[2])

        for index in range(20, 40):
            frames = np.repeat(pcm[None, index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES], ROWS, axis=0)
            take(net.step(frames, mask(2)))
            take(net.catch_up(mask(2)))
    assert not Caller(pcm, tokens, pauses).differs(networks.alone(pcm), 1e-6)


def test_a_temperature_draws_other_tokens_and_none_draws_the_same(networks: Networks) -> None:
    pcm = noise(np.random.default_rng(7), 30)
    said = []
    for temperature in (0.0, 0.0, 1.0):
        torch.manual_seed(1)
        with streaming(networks, ROWS, temperature=temperature) as net:
            said.append(say(net, 2, pcm)[0])
    assert said[0] == said[1] != said[2]


def test_a_resized_net_has_new_rows_and_never_both(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds the old rows or the new ones."""
    pcm = noise(np.random.default_rng(8), 30)
    with streaming(networks, ROWS) as net:
        say(net, 2, pcm)
        old = [weakref.ref(part.tensor) for part in net._reading]
        monkeypatch.setattr(networks.mimi, "streaming", forgetting(networks.mimi.streaming, old))
        net.resize(3)
        assert net.batch_size == 3
        caller = Caller(pcm, *say(net, 2, pcm))
    assert not caller.differs(networks.alone(pcm), 1e-6)


def forgetting(streaming: Any, old: Sequence[weakref.ref[torch.Tensor]]) -> Any:
    """`streaming`, which finds nothing left of the old rows."""

    def checked(rows: int) -> Any:
        gc.collect()
        assert not [tensor for tensor in old if tensor() is not None]
        return streaming(rows)

    return checked
