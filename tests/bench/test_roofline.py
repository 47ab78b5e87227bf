import pytest

from bench.step.roofline import H200, L40S, Costs, roofline
from tests.gpu.full_size import lm_config


def costs(model: str = "stt-1b") -> Costs:
    return Costs.of(lm_config(model), None, 2)


SIZES = [("stt-1b", 838.5e6, 98.3e6), ("stt-2.6b", 2474.6e6, 147.5e6)]


@pytest.mark.parametrize(("model", "parameters", "cache"), SIZES)
def test_what_a_step_reads_is_the_model_and_a_cache_for_each_caller(
    model: str, parameters: float, cache: float
) -> None:
    assert costs(model).lm_weights == pytest.approx(2 * parameters, rel=1e-3)
    assert costs(model).lm_row == pytest.approx(cache, rel=1e-3)


def test_one_caller_costs_the_reading_of_the_weights() -> None:
    weights = costs().lm_weights + costs().mimi_weights
    assert roofline(costs(), H200, 1) == pytest.approx(weights / H200.bandwidth * 1e3, rel=0.1)


def test_many_callers_cost_the_reading_of_their_caches() -> None:
    """From 512 callers to 1,024 the caches of 512 more are read; and some arithmetic."""
    more = roofline(costs(), H200, 1024) - roofline(costs(), H200, 512)
    assert more == pytest.approx(512 * (costs().lm_row + costs().mimi_row) / H200.bandwidth * 1e3, rel=0.15)


def test_a_slower_memory_has_a_higher_roofline() -> None:
    ratio = roofline(costs(), L40S, 256) / roofline(costs(), H200, 256)
    assert ratio == pytest.approx(4.8 / 0.864, rel=0.1)


def test_arithmetic_counts_where_it_is_slow() -> None:
    slow = Costs(0.0, 0.0, 1e12, 0.0, 0.0, 2e12)
    assert roofline(slow, H200, 3) == pytest.approx(3e15 / H200.tensor + 6e15 / H200.single)


def test_of_another_mimi_only_the_caches_are_counted() -> None:
    codec = {"transformer": {"num_layers": 1, "context": 10, "d_model": 8}}
    tiny = Costs.of(lm_config("stt-1b"), codec, 2)
    assert (tiny.mimi_weights, tiny.mimi_row, tiny.mimi_sums) == (0.0, 2 * 10 * 8 * 4, 0.0)
