"""A GPU says what a processor says: exactly in double precision, nearly in the precision that it is served with."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch

from engine.base import FRAME_SAMPLES, PCM
from engine.checkpoint import find
from engine.moshi import load_networks
from engine.net import Heard, Net
from tests.engine.digits import babble
from tests.engine.oracle import Networks, callers, come_and_go, random_networks, streaming
from tests.gpu.place import DEVICE, ON_CPU, SEALED, TINY

pytestmark = SEALED

CROWD = 16 if ON_CPU else 64  # rows
SERVED = torch.bfloat16  # of the language model; on a processor too, so that the tolerances are tried out there
SECONDS = 10
ALIKE = 0.97  # of the tokens, and of the codes of the first level
NEARLY = 0.95  # of the codes of all levels: the deeper, the nearer two of them are to each other
APART = 0.01  # of a pause probability, on average
PASSES = 6
PROBABILITY = 0.05  # that a pause probability of random weights may be off
BESIDE = 0.25  # standard deviations of the scores that the token chosen may be below the best


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Small networks are slower with two."""
    torch.set_num_threads(1)


def on_device(networks: Networks) -> Networks:
    """A copy of them."""
    return Networks(copy.deepcopy(networks.mimi).to(DEVICE), copy.deepcopy(networks.lm).to(DEVICE))


@pytest.mark.parametrize(("seed", "rows", "crowd"), [(0, 5, 13), (1, 5, 13), (2, CROWD, CROWD + CROWD // 4)])
def test_everyone_is_heard_as_if_alone_on_a_processor(seed: int, rows: int, crowd: int) -> None:
    """moshi's own code, one stream at a time: the same tokens, also of 64 at once who come and go beside rubbish."""
    networks, rng = random_networks(seed, torch.float64), np.random.default_rng(seed)
    some = callers(rng, crowd - 1, 3, 34) + callers(rng, 1, 80, 80)
    there = on_device(networks)
    with streaming(there, rows) as net:
        assert net.device.type == DEVICE
        come_and_go(net.reset, net.step, rows, some, rng)
    assert sum(caller.differs(networks.alone(caller.pcm), 1e-6) for caller in some) == 0


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Of each stream: tokens (T,), pauses (T, heads), codes (K, T)."""

    tokens: npt.NDArray[np.int64]
    pauses: npt.NDArray[np.float64]
    codes: npt.NDArray[np.int64]


@pytest.fixture(scope="module")
def streams() -> list[PCM]:
    rng = np.random.default_rng(5)
    return [babble(rng, SECONDS)[0] for _ in range(CROWD)]


@pytest.fixture(scope="module")
def expected(streams: Sequence[PCM]) -> Told:
    """From moshi's own code on a processor, in single precision, one stream at a time."""
    mimi, lm, _ = load_networks(find(str(TINY)), "cpu", torch.float32)
    networks = Networks(mimi, lm)
    said = [networks.alone(pcm) for pcm in streams]
    codes = []
    with torch.no_grad():
        for pcm in streams:
            with mimi.streaming(1):
                frames = torch.from_numpy(pcm).view(-1, 1, 1, FRAME_SAMPLES)
                codes.append(torch.cat([mimi.encode(frame)[0] for frame in frames], -1).numpy())
    return Told(np.array([tokens for tokens, _ in said]), np.array([pauses for _, pauses in said]), np.array(codes))


@pytest.fixture(scope="module")
def heard(streams: Sequence[PCM]) -> Told:
    """From all streams at once, on the device, as it is served there."""
    mimi, lm, _ = load_networks(find(str(TINY)), DEVICE, SERVED)
    net, everybody = Net(mimi, lm, CROWD), np.ones(CROWD, dtype=np.bool_)
    steps = [net.step(np.ascontiguousarray(pcm), everybody) for pcm in np.split(np.array(streams), _frames(), axis=1)]
    tokens = np.array([step.tokens for step in steps]).T
    pauses = np.array([step.pauses for step in steps]).transpose(1, 0, 2)
    return Told(tokens, pauses, net._codes[:, :, : len(steps)].cpu().numpy())


def _frames() -> int:
    return int(SECONDS * 12.5)


def test_the_codes_are_those_of_single_precision(heard: Told, expected: Told) -> None:
    """However fast the products are made (TF32): codes are the nearest of many, and few may tip."""
    same = heard.codes == expected.codes
    assert same[:, 0].mean() >= ALIKE
    assert same.mean() >= NEARLY


def test_the_tokens_are_those_of_single_precision(heard: Told, expected: Told) -> None:
    assert (heard.tokens == expected.tokens).mean() >= ALIKE
    assert len(set(expected.tokens.ravel().tolist())) > 5, "networks that say little prove little"


def test_the_pauses_are_those_of_single_precision(heard: Told, expected: Told) -> None:
    assert np.abs(heard.pauses - expected.pauses).mean() <= APART


Passes = tuple[list[Heard], list[Heard], list[torch.Tensor]]


@pytest.fixture(scope="module")
def passes(name: str) -> Iterator[Passes]:
    """What the device says, what a processor says in single precision, and the scores of what it could have said.

    Both are given the same codes and the same text: what random weights of the true size hear tips at a breath.
    """
    files, scores = find(name), list[torch.Tensor]()
    here = Net(*load_networks(files, "cpu", torch.float32)[:2], 2)
    choose = here._choose

    def recorded(logits: torch.Tensor) -> torch.Tensor:
        scores.append(logits.clone())
        return choose(logits)

    here._choose = recorded  # type: ignore[method-assign]  # what it chooses among is told nowhere else
    expected = read(here)
    here.close()
    there = Net(*load_networks(files, DEVICE, SERVED)[:2], 2)
    yield read(there), expected, scores
    there.close()


def test_pauses_of_the_true_size_are_as_likely(passes: Passes) -> None:
    there, here, _ = passes
    for one, other in zip(there, here, strict=True):
        assert np.abs(np.array(one.pauses) - np.array(other.pauses)).max(initial=0.0) <= PROBABILITY


def test_the_token_of_the_true_size_is_among_the_likeliest(passes: Passes) -> None:
    there, _, scores = passes
    for one, score in zip(there, scores, strict=True):
        chosen = score.gather(1, torch.tensor(one.tokens)[:, None])[:, 0]
        assert bool((score.amax(1) - chosen <= BESIDE * score.std(1)).all())


def read(net: Net) -> list[Heard]:
    """What the language model says to codes that nobody has heard, beside text that it has not said."""
    rng, lm = np.random.default_rng(7), net._lm
    codes = torch.from_numpy(rng.integers(0, lm.card, (2, lm.n_q, PASSES))).to(net.device)
    text = torch.from_numpy(rng.integers(0, lm.text_card, (2, PASSES))).to(net.device)
    net._codes[:, :, :PASSES] = codes
    said = []
    for index in range(PASSES):
        net._text.copy_(text[:, index])
        said.append(net.catch_up(np.ones(2, dtype=np.bool_)))
    return said
