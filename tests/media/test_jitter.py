"""Packets in any order in; packets and gaps in order out."""

from hypothesis import example, given
from hypothesis import strategies as st

from media.jitter import KEPT, LONGEST_WAIT, SHORTEST_WAIT, JitterBuffer
from media.rtp import MAX_DROPOUT, Gap, Packet, Widener

PTIME = 960
RATE = 48_000


def packet(seq: int, *, timestamp: int | None = None, samples: int = PTIME) -> Packet:
    return Packet(
        seq,
        seq * PTIME if timestamp is None else timestamp,
        b"x" if samples else b"",
        samples,
        111,
        RATE if samples else 0,
    )


def play(buffer: JitterBuffer, seqs: list[int], now: float = 0.0) -> list[Packet | Gap]:
    out = []
    for seq in seqs:
        buffer.put(packet(seq), now)
        out += buffer.pop(now)
    return out


def numbers(items: list[Packet | Gap]) -> list[int]:
    return [item.seq for item in items if isinstance(item, Packet)]


def test_what_is_in_order_goes_straight_through() -> None:
    buffer = JitterBuffer()
    for seq in range(100):
        buffer.put(packet(seq), seq * 0.02)
        assert buffer.pop(seq * 0.02) == [packet(seq)]
        assert buffer.deadline is None


def test_a_hole_waits_then_is_named() -> None:
    buffer = JitterBuffer()
    assert numbers(play(buffer, [0, 2, 3])) == [0]
    deadline = buffer.deadline
    assert deadline is not None
    assert SHORTEST_WAIT <= deadline <= LONGEST_WAIT
    assert buffer.pop(deadline - 0.001) == []
    assert buffer.pop(deadline) == [Gap(PTIME, RATE, lost=True), packet(2), packet(3)]
    assert buffer.counts.lost == 1
    assert buffer.deadline is None


def test_a_hole_that_is_filled_in_time_is_no_gap() -> None:
    buffer = JitterBuffer()
    assert play(buffer, [0, 2, 3, 1, 4]) == [packet(seq) for seq in range(5)]
    assert buffer.counts.lost == 0


def test_after_a_loss_nothing_is_held_back() -> None:
    buffer = JitterBuffer()
    play(buffer, [0, 2])
    buffer.pop(1.0)
    assert play(buffer, [3, 4], now=1.0) == [packet(3), packet(4)]


def test_late_and_repeated_packets_are_dropped_and_counted() -> None:
    buffer = JitterBuffer()
    play(buffer, [0, 2, 2])
    buffer.pop(1.0)
    assert play(buffer, [1, 2, 0, 3], now=1.0) == [packet(3)]
    assert (buffer.counts.lost, buffer.counts.late, buffer.counts.duplicate) == (1, 1, 3)


def test_a_jump_of_the_clock_alone_is_silence() -> None:
    buffer = JitterBuffer()
    play(buffer, [0])
    buffer.put(packet(1, timestamp=PTIME + 4_800), 0.4)
    assert buffer.pop(0.4) == [Gap(4_800, RATE, lost=False), packet(1, timestamp=PTIME + 4_800)]


def test_of_a_hole_in_a_silence_only_the_missing_packet_is_lost() -> None:
    buffer = JitterBuffer()
    play(buffer, [0])
    buffer.put(packet(2, timestamp=20 * PTIME), 0.4)
    assert buffer.pop(1.0)[:2] == [Gap(PTIME, RATE, lost=True), Gap(18 * PTIME, RATE, lost=False)]


def test_a_packet_without_audio_takes_its_place_and_no_time() -> None:
    buffer = JitterBuffer()
    play(buffer, [0])
    digit = packet(1, timestamp=0, samples=0)
    buffer.put(digit, 0.0)
    assert buffer.pop(0.0) == [digit]
    buffer.put(packet(2, timestamp=PTIME), 0.0)
    assert buffer.pop(0.0) == [packet(2, timestamp=PTIME)]


def test_a_clock_that_goes_back_is_taken_as_it_is() -> None:
    buffer = JitterBuffer()
    play(buffer, [0, 1, 2])
    back = packet(3, timestamp=-5_000_000)
    buffer.put(back, 0.0)
    assert buffer.pop(0.0) == [back]
    buffer.put(packet(4, timestamp=-5_000_000 + PTIME), 0.0)
    assert not any(isinstance(item, Gap) for item in buffer.pop(0.0))


def test_a_sender_that_starts_anew_is_followed_after_three_packets() -> None:
    for start in (40, -50_000, MAX_DROPOUT * 10):
        buffer = JitterBuffer()
        play(buffer, list(range(100)))
        again = [packet(start + index, timestamp=10**7 + index * PTIME) for index in range(4)]
        out: list[Packet | Gap] = []
        for one in again:
            buffer.put(one, 2.0)
            out += buffer.pop(2.0)
        assert out == again, start


def test_patience_grows_with_reordering_and_falls_back() -> None:
    buffer = JitterBuffer()
    play(buffer, [0, 2])
    assert buffer.deadline is not None
    buffer.pop(buffer.deadline)
    buffer.put(packet(1), 0.090)  # it came after all, 90 ms after it was missed
    play(buffer, [3, 5], now=0.1)
    assert buffer.deadline is not None
    assert 0.09 < buffer.deadline - 0.1 <= LONGEST_WAIT
    buffer.pop(1.0)
    play(buffer, [6, 8], now=100.0)
    assert buffer.deadline == 100.0 + SHORTEST_WAIT


def test_what_waits_is_bounded() -> None:
    buffer = JitterBuffer()
    out = play(buffer, [0, *range(2, 500)])
    assert numbers(out) == [0, *range(2, 500)]
    assert sum(item.lost for item in out if isinstance(item, Gap)) == 1
    buffer = JitterBuffer()
    play(buffer, [0, *range(2, 2_000, 2)])
    assert len(buffer._waiting) <= KEPT + 1


def test_flush_releases_everything() -> None:
    buffer = JitterBuffer()
    play(buffer, [0, 2, 4])
    assert numbers(buffer.flush()) == [2, 4]
    assert buffer.deadline is None


def test_late_packets_that_come_twice_are_no_new_sender() -> None:
    buffer = JitterBuffer()
    play(buffer, [0, 5])
    buffer.pop(1.0)
    assert play(buffer, [1, 1, 2, 2, 3, 3, 4, 4, 6], now=1.0) == [packet(6)]
    assert (buffer.counts.lost, buffer.counts.late, buffer.counts.duplicate) == (4, 4, 4)


@st.composite
def journeys(draw: st.DrawFn) -> list[tuple[float, int]]:
    """Packets 0 to n sent every 20 ms, each lost, delayed or doubled by chance; (arrival, seq) in order of arrival.
    The first one arrives first, since a call begins with what is heard first."""
    count = draw(st.integers(1, 60))
    arrivals = [(0.0, 0)]
    for seq in range(1, count):
        for _ in range(draw(st.sampled_from([0, 1, 1, 1, 1, 2]))):
            arrivals.append((seq * 0.02 + draw(st.floats(0, 0.2)), seq))
    return sorted(arrivals)


@given(journeys())
@example([(0.0, 0), (0.06, 3), (0.145, 1), (0.145, 1), (0.165, 2), (0.165, 2)])  # late, and each of them twice
def test_any_journey_ends_in_order_with_its_time_kept(arrivals: list[tuple[float, int]]) -> None:
    buffer = JitterBuffer()
    out: list[Packet | Gap] = []
    for now, seq in arrivals:
        while (deadline := buffer.deadline) is not None and deadline < now:
            out += buffer.pop(deadline)
        buffer.put(packet(seq), now)
        out += buffer.pop(now)
    out += buffer.flush()
    released = numbers(out)
    assert released == sorted(set(released))
    total = sum(item.samples for item in out)
    assert total == (released[-1] + 1) * PTIME  # every hole is as long as what is missing
    counts = buffer.counts
    assert len(arrivals) == len(released) + counts.late + counts.duplicate
    assert counts.lost == released[-1] + 1 - len(released)


class Witness:
    """A buffer whose sequence numbers wrap on the way, and all that a simple model says of what it may release."""

    def __init__(self, start: int) -> None:
        self.buffer = JitterBuffer()
        self.start = start
        self.widener = Widener(16)
        self.came: dict[int, float] = {}  # when, of what came in time
        self.last = -1  # what was released last
        self.now = 0.0

    def arrive(self, seq: int, now: float) -> None:
        while (deadline := self.buffer.deadline) is not None and deadline <= now:
            self.check(deadline)
        if seq > self.last:
            self.came.setdefault(seq, now)
        wide = self.widener.widen((self.start + seq) % 65_536)
        self.buffer.put(packet(wide, timestamp=wide * PTIME), now)
        self.check(now)

    def check(self, now: float) -> None:
        """Everything that is released now came in time, is in order, and skips no more than it may."""
        for seq in numbers(self.buffer.pop(now)):
            one = seq - self.start
            assert one > self.last, "each at most once, and in order"
            assert one in self.came, "nothing that did not come in time"
            skipped = range(self.last + 1, one)
            assert not any(missing in self.came for missing in skipped), "nothing that came in time is missing"
            if skipped:
                revealed = min(at for other, at in self.came.items() if other > self.last)
                assert now >= revealed + SHORTEST_WAIT - 1e-9, "a hole has time to fill"
            assert now <= self.came[one] + LONGEST_WAIT + 1e-9, "nothing waits longer than the longest wait"
            self.last = one
        assert self.last + 1 not in self.came, "what is next in order does not wait"


@given(journeys(), st.sampled_from([0, 30_000, 65_500, 65_535]))
def test_any_journey_is_as_a_simple_model_has_it(arrivals: list[tuple[float, int]], start: int) -> None:
    witness = Witness(start)
    for now, seq in arrivals:
        witness.arrive(seq, now)
    while (deadline := witness.buffer.deadline) is not None:
        witness.check(deadline)
    assert witness.last == max(seq for _, seq in arrivals)


@given(journeys(), st.data())
def test_a_repair_is_an_arrival_that_may_still_come(arrivals: list[tuple[float, int]], data: st.DataObject) -> None:
    """Whatever is repeated of packets before: nothing is played twice, and the figures add up."""
    buffer = JitterBuffer()
    out: list[Packet | Gap] = []
    for now, seq in arrivals:
        for back in range(data.draw(st.integers(0, 2)), 0, -1):
            buffer.repair(packet(seq - back), now)
        buffer.put(packet(seq), now)
        out += buffer.pop(now)
    out += buffer.flush()
    released = numbers(out)
    assert released == sorted(set(released))
    counts = buffer.counts
    assert counts.released == len(released)
    assert counts.released + counts.lost == released[-1] + 1
    assert counts.repaired == len(set(released) - {seq for _, seq in arrivals})
    assert sum(item.samples for item in out) == (released[-1] + 1) * PTIME


@given(journeys())
def test_nothing_waits_longer_than_the_longest_wait(arrivals: list[tuple[float, int]]) -> None:
    buffer = JitterBuffer()
    for now, seq in arrivals:
        buffer.put(packet(seq), now)
        buffer.pop(now)
        deadline = buffer.deadline
        assert deadline is None or now < deadline <= now + LONGEST_WAIT


@given(st.lists(st.tuples(st.integers(-70_000, 70_000), st.integers(-(2**33), 2**33), st.integers(0, 5_760))))
def test_hostile_counters_stay_bounded_and_never_raise(hostile: list[tuple[int, int, int]]) -> None:
    buffer = JitterBuffer()
    for index, (seq, timestamp, samples) in enumerate(hostile):
        buffer.put(Packet(seq, timestamp, b"x", samples, 111, RATE), index * 0.001)
        buffer.pop(index * 0.001)
    buffer.flush()
    assert buffer.deadline is None
