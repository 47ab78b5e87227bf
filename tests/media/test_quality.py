from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.quality import Meter, delay_impairment, loss_impairment, opinion, rating
from media.stats import TrackStats


def test_a_line_without_fault() -> None:
    assert rating(0.0, 0.0) == pytest.approx(93.2)
    assert opinion(rating(0.0, 0.0)) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("r", "mos"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1.0), (100, 4.5)]
)
def test_opinions_are_those_of_g107_table_b1(r: float, mos: float) -> None:
    assert opinion(r) == pytest.approx(mos, abs=0.01)


@pytest.mark.parametrize(("percent", "ie"), [(0, 0), (1, 5), (2, 7), (3, 10), (5, 15), (7, 20), (10, 25)])
def test_concealed_loss_costs_what_g113_found_for_g711(percent: float, ie: float) -> None:
    assert loss_impairment(percent / 100) == pytest.approx(ie, abs=2.1)


def test_loss_that_is_not_concealed_costs_more() -> None:
    assert loss_impairment(0.05, robustness=4.3) == pytest.approx(51.1, abs=0.05)
    assert opinion(rating(0.05, 0.0)) == pytest.approx(3.92, abs=0.01)


@pytest.mark.parametrize(("delay", "idd"), [(0.0, 0.0), (0.1, 0.0), (0.15, 0.16), (0.2, 3.04), (0.4, 24.07)])
def test_delay_costs_what_g107_says(delay: float, idd: float) -> None:
    assert delay_impairment(delay) == pytest.approx(idd, abs=0.05)


@given(st.floats(0, 1), st.floats(0, 60), st.floats(0, 1), st.floats(0, 60))
def test_more_loss_or_delay_is_never_better(loss: float, delay: float, more: float, longer: float) -> None:
    worse = opinion(rating(min(1.0, loss + more), delay + longer))
    assert 1.0 <= worse <= opinion(rating(loss, delay)) + 0.01 <= 4.5


def test_an_interval_is_what_happened_since_the_last_one() -> None:
    meter = Meter()
    first = TrackStats(received=90, expected=100, lost=2, repaired=8, late=1, reordered=3, concealed_seconds=0.04)
    quality = meter.measure(first, 0.005, 0.05)
    assert quality is not None
    assert (quality.loss, quality.repaired, quality.late, quality.reordered) == (0.1, 0.08, 0.01, 0.03)
    assert (quality.concealed, quality.jitter, quality.round_trip) == (0.04, 0.005, 0.05)
    assert quality.mos == pytest.approx(opinion(rating(0.02, 0.03)))
    clean = meter.measure(replace(first, received=190, expected=200), 0.0, None)
    assert clean is not None
    assert (clean.loss, clean.concealed, clean.round_trip) == (0.0, 0.0, None)
    assert clean.mos == pytest.approx(4.41, abs=0.005)


def test_what_was_repaired_was_lost_and_costs_nothing() -> None:
    quality = Meter().measure(TrackStats(received=80, expected=100, repaired=20), 0.0, 0.0)
    assert quality is not None
    assert (quality.loss, quality.repaired) == (0.2, 0.2)
    assert quality.mos == pytest.approx(4.41, abs=0.005)


def test_without_packets_there_is_nothing_to_say_and_an_outage_counts_when_they_are_back() -> None:
    meter = Meter()
    before = TrackStats(received=100, expected=100)
    assert meter.measure(before, 0.0, None)
    assert meter.measure(replace(before, silent_seconds=2.0), 0.0, None) is None
    back = meter.measure(replace(before, received=150, expected=200, lost=50), 0.0, None)
    assert back is not None
    assert back.loss == 0.5


def test_what_is_counted_at_the_edge_stays_a_fraction() -> None:
    quality = Meter().measure(TrackStats(received=1, expected=1, lost=3), 0.0, None)
    assert quality is not None
    assert quality.loss == 1.0
