import math

import numpy as np
import pytest

from bench.media.ruler import ruler
from bench.media.statistics import added, missing, spread, step
from bench.media.trial import Heard
from bench.media.words import pooled

RATE = 24_000


def heard(seconds: float, *, wait: float = 0.005) -> Heard:
    """A call whose packets left every 20 ms and whose frames came `wait` after the packet that completes them."""
    pcm = ruler(seconds, RATE).astype(np.float32) * np.float32(1 / 32_768)
    left = [100 + index * 0.02 for index in range(round(seconds / 0.02))]
    times = [left[index] + wait for index in range(3, len(left), 4)]
    return Heard(99.0, left, times, pcm.size, pcm)


def test_the_spread_is_told_in_milliseconds() -> None:
    told = spread([0.001] * 50 + [0.1] * 50)
    assert told.p95 == pytest.approx(100.0)


def test_the_spread_of_nothing_is_no_number() -> None:
    assert math.isnan(spread([]).p50)


def test_latency_counts_from_the_packet_that_completes_the_frame() -> None:
    assert [packet for packet, _ in added(heard(1.6))] == list(range(3, 80, 4))
    assert [latency for _, latency in added(heard(1.6))] == pytest.approx([0.005] * 20)


def test_what_came_out_is_not_missing() -> None:
    assert missing(heard(1.6), [0.0] * 80) == 0.0


def test_what_did_not_come_out_is_missing() -> None:
    assert missing(heard(1.6), [0.0] * 90) == pytest.approx(0.2)


def test_lost_packets_at_the_ends_are_nobodys_fault() -> None:
    assert missing(heard(1.6), [None] * 5 + [0.0] * 80 + [None] * 5) == 0.0


def test_a_step_is_told_from_before_the_loss_to_well_after_it() -> None:
    points = [(packet, 0.1 if packet < 250 else 0.3) for packet in range(500) if packet != 260]
    assert step([*points, (260, 9.0)], 250) == (100.0, 300.0)


def test_pooled_errors_count_by_the_word_and_not_by_the_clip() -> None:
    assert pooled([("one", "two"), ("a b c d e f g h i", "A, b c d e f g h i.")]) == pytest.approx(0.1)
