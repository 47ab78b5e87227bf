"""What becomes of packets: the same from the same seed, and as often as the network says."""

from itertools import groupby, pairwise

import pytest

from media.impair import PRESETS, Bursts, Impairment, Outage, Path

PACE = 0.02  # seconds between packets


def sent(impairment: Impairment, count: int, seed: int = 1) -> list[tuple[float, ...]]:
    """When each of so many packets arrives, after it was sent."""
    path = Path(impairment, seed)
    return [tuple(arrival - n * PACE for arrival in path.deliveries(n * PACE)) for n in range(count)]


def lost_share(impairment: Impairment, count: int = 50_000) -> float:
    return sum(not arrivals for arrivals in sent(impairment, count)) / count


@pytest.mark.parametrize("preset", PRESETS)
def test_a_seed_tells_everything(preset: str) -> None:
    assert sent(PRESETS[preset], 2_000, seed=7) == sent(PRESETS[preset], 2_000, seed=7)


def test_another_seed_is_another_network() -> None:
    assert sent(PRESETS["loss-10"], 200, seed=1) != sent(PRESETS["loss-10"], 200, seed=2)


def test_a_clean_network_does_nothing() -> None:
    assert set(sent(PRESETS["clean"], 1_000)) == {(0.0,)}


@pytest.mark.parametrize(
    ("preset", "share"), [("loss-5", 0.05), ("loss-10", 0.10), ("loss-20", 0.20), ("bursts", 0.05)]
)
def test_so_much_is_lost(preset: str, share: float) -> None:
    assert lost_share(PRESETS[preset]) == pytest.approx(share, rel=0.1)


def test_bursts_are_as_long_as_they_should_be() -> None:
    fates = [not arrivals for arrivals in sent(PRESETS["bursts"], 100_000)]
    lengths = [len(list(run)) for lost, run in groupby(fates) if lost]
    assert sum(lengths) / len(lengths) == pytest.approx(4.0, rel=0.1)


def test_a_burst_may_let_some_through() -> None:
    assert lost_share(Impairment(bursts=Bursts(enter=0.1, leave=0.1, loss=0.4))) == pytest.approx(0.2, rel=0.1)


def test_a_burst_does_not_outlast_a_pause() -> None:
    path = Path(Impairment(bursts=Bursts(enter=0.5, leave=0.0)), 1)
    fates = [bool(path.deliveries(float(second))) for second in range(100)]
    assert 30 < fates.count(True) < 70


def test_chances_of_their_own_add_to_bursts() -> None:
    both = Impairment(loss=0.1, bursts=Bursts(enter=0.1, leave=0.1, loss=0.4))
    assert lost_share(both) == pytest.approx(0.25, rel=0.1)


def test_packets_overtake_each_other_only_where_they_may() -> None:
    for reordering in (False, True):
        path = Path(Impairment(jitter=0.1, reordering=reordering), 1)
        arrivals = [path.deliveries(n * PACE)[0] for n in range(1_000)]
        assert any(before > after for before, after in pairwise(arrivals)) == reordering


@pytest.mark.parametrize("preset", ["wifi", "lte", "jitter"])
def test_delays_stay_within_what_is_told(preset: str) -> None:
    impairment = PRESETS[preset]
    delays = [delay for arrivals in sent(impairment, 5_000) for delay in arrivals]
    assert min(delays) == pytest.approx(impairment.delay, abs=0.001)
    assert max(delays) == pytest.approx(impairment.delay + impairment.jitter, abs=0.001)


def test_some_come_twice() -> None:
    copies = [len(arrivals) for arrivals in sent(Impairment(duplicate=0.1), 20_000)]
    assert set(copies) == {1, 2}
    assert copies.count(2) / len(copies) == pytest.approx(0.1, rel=0.1)


def test_an_outage_is_dark_at_the_end_of_its_period() -> None:
    fates = [bool(arrivals) for arrivals in sent(Impairment(outage=Outage(every=2.0, lasts=0.5)), 200)]
    assert fates == ([True] * 75 + [False] * 25) * 2


def test_outages_are_counted_from_when_the_network_came_up() -> None:
    path = Path(Impairment(outage=Outage(every=10.0, lasts=1.0)), 1, began=100.0)
    assert path.deliveries(108.9) == (108.9,)
    assert path.deliveries(109.1) == ()
    assert path.deliveries(110.1) == (110.1,)


def test_what_comes_after_an_outage_is_what_would_have_come_without_it() -> None:
    dark = sent(Impairment(loss=0.3, outage=Outage(every=10.0, lasts=2.0)), 750)
    light = sent(Impairment(loss=0.3), 750)
    assert dark[500:] == light[500:]
