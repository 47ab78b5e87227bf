from bench.media.network import arrived, journeys, without


def test_a_seed_draws_the_same_network_each_time() -> None:
    assert journeys(200, seed=3, loss=0.1, jitter=0.03) == journeys(200, seed=3, loss=0.1, jitter=0.03)
    assert journeys(200, seed=3, loss=0.1) != journeys(200, seed=4, loss=0.1)


def test_the_rate_of_loss_is_what_was_asked_for() -> None:
    network = journeys(20_000, seed=1, loss=0.1)
    assert abs(network.count(None) / 20_000 - 0.1) < 0.01


def test_more_loss_loses_what_less_loss_lost() -> None:
    some, more = journeys(500, seed=1, loss=0.05), journeys(500, seed=1, loss=0.2)
    assert all(lost is None for kept, lost in zip(some, more, strict=True) if kept is None)


def test_jitter_stays_within_its_bound_and_changes_the_order() -> None:
    network = journeys(500, seed=1, jitter=0.03)
    arrivals = [index * 0.02 + journey for index, journey in enumerate(network) if journey is not None]
    assert len(arrivals) == 500
    assert all(0.0 <= arrival - index * 0.02 <= 0.03 for index, arrival in enumerate(arrivals))
    assert arrivals != sorted(arrivals)


def test_only_what_is_named_is_lost() -> None:
    assert without(4, {2}) == [0.0, 0.0, None, 0.0]


def test_what_arrived_reaches_from_the_first_packet_to_the_last() -> None:
    assert arrived([None, 0.0, None, 0.0, None]) == (1, 4)
    assert arrived([None, None]) == (0, 0)
