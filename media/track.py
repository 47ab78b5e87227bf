"""One caller's packets to gapless frames: packets -> jitter buffer -> decoder -> frames. This shell owns the clock.

Time follows the sender: a hole and a silence that was never sent (DTX) each become as much audio as the sender's
clock says. When packets stop altogether, the wall clock supplies silence, so that an engine can say its last words;
when they come back, that silence is taken off the gap that they show.

There is no thread and no task here: a packet is worked off while it is received, and one timer does the rest.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from media.codecs import PCM, Format, Voice
from media.events import MediaEvent, Missed
from media.frames import FrameQueue, Framer
from media.jitter import JitterBuffer
from media.red import unwrap
from media.rtcp import SenderReport
from media.rtp import Arrival, Gap, Packet, Widener
from media.senderclock import SenderClock

BACKLOG = 2.0  # seconds of audio that may wait for the reader; the oldest gives way
SILENCE_LAG = 0.040  # how far the wall clock's silence stays behind: the first 80 ms of it come 120 ms after a packet
LONGEST_FILL = 5.0  # seconds of audio that a jump of the sender's clock may add; beyond it the clock is re-based
LONGEST_DEBT = 1.0  # seconds of supplied silence that later gaps may still be shortened by
TOLD_LOSS = 0.100  # seconds of lost audio from which on it is told as missed; shorter ones are concealed well enough
QUIET = 0.200  # seconds without a packet after which a caller who has finished has sent everything
LONGEST_DRAIN = 1.0


@dataclass(frozen=True, slots=True)
class TrackStats:
    """What happened to one caller's audio so far. Packets, but where seconds are named."""

    received: int = 0
    expected: int = 0  # sent, by their sequence numbers
    repaired: int = 0  # lost, and whole again from the redundancy in a later one
    lost: int = 0
    late: int = 0
    duplicate: int = 0
    reordered: int = 0  # out of order, and in time
    undecodable: int = 0
    digits: int = 0
    concealed_seconds: float = 0.0
    silent_seconds: float = 0.0  # filled in for DTX and for packets that stopped
    dropped_seconds: float = 0.0  # not read in time


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """The part of an event loop that a track needs."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer: ...


@dataclass(slots=True)
class _Source:
    """One sender (SSRC) speaking one codec."""

    ssrc: int
    payload_type: int
    voice: Voice
    jitter: JitterBuffer = field(default_factory=JitterBuffer)
    seq: Widener = field(default_factory=lambda: Widener(16))
    timestamp: Widener = field(default_factory=lambda: Widener(32))
    highest: int = -1
    clock: SenderClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = SenderClock(self.voice.codec.clock_rate)

    def repeated(self, arrival: Arrival) -> Packet:
        """A packet from before, as a later one repeats it; the counters stay where they are."""
        seq, timestamp = self.seq.peek(arrival.sequence_number), self.timestamp.peek(arrival.timestamp)
        return Packet(seq, timestamp, arrival.payload, self.voice.codec.samples(arrival.payload))

    def packet(self, arrival: Arrival, *, audio: bool) -> Packet:
        seq = self.seq.widen(arrival.sequence_number)
        self.highest = max(self.highest, seq)
        samples = self.voice.codec.samples(arrival.payload) if audio else 0
        payload = arrival.payload if samples else b""
        return Packet(seq, self.timestamp.widen(arrival.timestamp), payload, samples)


class Track:
    """Packets in by `receive`, frames out by iteration: `frame_samples` of float32 at `rate`, without a gap in time."""

    def __init__(
        self,
        formats: Iterable[Format],
        *,
        rate: int,
        frame_samples: int,
        backlog: float = BACKLOG,
        clock: Clock | None = None,
    ) -> None:
        formats = tuple(formats)
        self._codecs = {format.payload_type: codec for format in formats if (codec := format.codec) is not None}
        self._redundant = {format.payload_type for format in formats if format.repeats is not None}
        self._rate = rate
        self._frame_seconds = frame_samples / rate
        self._clock: Clock = clock or asyncio.get_running_loop()
        self._framer = Framer(rate, frame_samples)
        self._queue = FrameQueue(max(1, round(backlog / self._frame_seconds)), self._frame_seconds)
        self._source: _Source | None = None
        self._silence: PCM = np.zeros(frame_samples, np.float32)
        self._heard = 0.0  # when the last packet came
        self._lent = 0  # samples of silence that the wall clock supplied and no gap has taken off yet
        self._lent_now = 0  # those since the last packet
        self._stop_at: float | None = None  # when a drain ends at the latest
        self._timer: Timer | None = None
        self._wake_at = 0.0
        self._ended = asyncio.Event()
        self._totals = TrackStats()
        self._received = 0
        self._repaired = 0
        self._concealed = 0
        self._silent = 0

    def receive(self, arrival: Arrival) -> None:
        """Take a packet. One that was not negotiated only takes its place in the sequence."""
        if self._ended.is_set():
            return
        *repeated, arrival = self._unwrapped(arrival)
        source = self._follow(arrival)
        if source is None:
            return
        now = self._clock.time()
        self._received += 1
        self._heard = now
        self._lent_now = 0
        packet = source.packet(arrival, audio=arrival.payload_type == source.payload_type)
        self._repair(source, repeated, now)
        source.jitter.put(packet, now)
        self._write(source.jitter.pop(now))
        self._arm()

    def _unwrapped(self, arrival: Arrival) -> list[Arrival]:
        """The packets in a packet, oldest first. RED that cannot be read only takes its place in the sequence."""
        if arrival.payload_type not in self._redundant:
            return [arrival]
        try:
            return unwrap(arrival)
        except ValueError:
            return [arrival]

    def _repair(self, source: _Source, repeated: list[Arrival], now: float) -> None:
        """Fill holes with what is repeated; most of it has come already."""
        for arrival in repeated:
            packet = source.repeated(arrival)
            fits = arrival.payload_type == source.payload_type and packet.samples
            if fits and source.jitter.misses(packet.seq, packet.timestamp):
                source.jitter.put(packet, now)
                self._repaired += 1

    @property
    def stats(self) -> TrackStats:
        """The figures so far, over every sender that spoke on this track."""
        return TrackStats(
            received=self._received,
            repaired=self._repaired,
            concealed_seconds=self._concealed / self._rate,
            silent_seconds=self._silent / self._rate,
            dropped_seconds=self._queue.dropped * self._frame_seconds,
            **self._packet_counts(),
        )

    async def drain(self) -> None:
        """The caller says no more: take what is still under way (quiet for 200 ms, at most 1 s), then end."""
        if self._stop_at is None:
            self._heard = self._clock.time()
            self._stop_at = self._heard + LONGEST_DRAIN
            self._arm()
        await self._ended.wait()

    def end(self) -> None:
        """Release everything that is here; the last frame is made whole with zeros. Ending twice is harmless."""
        if self._ended.is_set():
            return
        self._leave()
        for frame in self._framer.rest():
            self._queue.put(frame)
        self._queue.end()
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def tell(self, event: MediaEvent) -> None:
        """Say something between the frames. After the end nothing happens."""
        self._queue.tell(event)

    def report(self, report: SenderReport, now: float, round_trip: float | None) -> None:
        """Take a sender's report, which came `now`; those of other senders than the present one say nothing."""
        if self._source is not None and self._source.ssrc == report.ssrc:
            self._source.clock.report(report.ntp, report.timestamp, now, round_trip)

    def __aiter__(self) -> FrameQueue:
        return self._queue

    # Who is speaking

    def _follow(self, arrival: Arrival) -> _Source | None:
        """The sender of this packet; a new SSRC or another codec takes over from the one before."""
        source = self._source
        codec = self._codecs.get(arrival.payload_type)
        if codec is None:
            return source if source is not None and source.ssrc == arrival.ssrc else None
        if source is None or source.ssrc != arrival.ssrc:
            self._leave()
            self._source = source = _Source(arrival.ssrc, arrival.payload_type, Voice(codec, self._rate))
        elif source.payload_type != arrival.payload_type:
            if source.seq.peek(arrival.sequence_number) < source.highest:
                return None  # a straggler from before the switch
            self._leave()
            self._source = source = _Source(
                arrival.ssrc, arrival.payload_type, Voice(codec, self._rate), seq=source.seq, highest=source.highest
            )
        return source

    def _leave(self) -> None:
        """Say what the present sender still has to say, and keep its figures."""
        if self._source is not None:
            self._write(self._source.jitter.flush())
            self._totals = TrackStats(**self._packet_counts())
            self._source = None

    def _packet_counts(self) -> dict[str, int]:
        totals, source = self._totals, self._source
        if source is None:
            return {name: getattr(totals, name) for name in ("lost", "late", "duplicate", "undecodable")}
        counts = source.jitter.counts
        return {
            "lost": totals.lost + counts.lost,
            "late": totals.late + counts.late,
            "duplicate": totals.duplicate + counts.duplicate,
            "undecodable": totals.undecodable + source.voice.failures,
        }

    # What is written

    def _write(self, items: list[Packet | Gap]) -> None:
        assert self._source is not None
        voice = self._source.voice
        for item in items:
            if isinstance(item, Gap):
                self._fill(item, voice)
            elif item.samples:
                self._push(voice.decode(item.payload, item.samples))
                # What is still owed now was not a silence of the sender's: forgive all but a little of it.
                self._lent = min(self._lent, int(LONGEST_DEBT * self._rate))

    def _fill(self, gap: Gap, voice: Voice) -> None:
        whole = gap.samples * self._rate // voice.codec.clock_rate
        taken = min(self._lent, whole)
        self._lent -= taken
        wanted = min(whole - taken, int(LONGEST_FILL * self._rate))
        if gap.lost:
            self._concealed += wanted
            self._push(voice.conceal(wanted))
            self._tell_loss(taken + wanted)
        else:
            self._silent += wanted
            self._push(np.zeros(wanted, np.float32))

    def _tell_loss(self, samples: int) -> None:
        seconds = samples / self._rate
        if seconds >= TOLD_LOSS:
            stop = self._framer.position
            self._queue.tell(Missed(max(0.0, stop - seconds), stop))

    def _push(self, pcm: PCM) -> None:
        for frame in self._framer.push(pcm):
            self._queue.put(frame)

    # What time brings

    def _tick(self) -> None:
        """The one timer: a hole's deadline, silence from the wall clock, the end of a drain."""
        self._timer = None
        now = self._clock.time()
        if self._stop_at is not None and now >= min(self._stop_at, self._heard + QUIET):
            self.end()
            return
        if self._source is not None:
            self._write(self._source.jitter.pop(now))
            while self._stop_at is None and now >= self._silence_due():
                self._lend()
        self._arm()

    def _lend(self) -> None:
        self._push(self._silence)
        self._silent += self._silence.size
        self._lent += self._silence.size
        self._lent_now += self._silence.size

    def _silence_due(self) -> float:
        return self._heard + SILENCE_LAG + self._lent_now / self._rate + self._frame_seconds

    def _arm(self) -> None:
        """Have the timer wake in time. One that wakes too early is left alone: it looks again by itself, and that is
        cheaper than a new timer for every packet."""
        wake_at = self._next_wake()
        if wake_at is None or (self._timer is not None and self._wake_at <= wake_at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = wake_at
        self._timer = self._clock.call_at(wake_at, self._tick)

    def _next_wake(self) -> float | None:
        times = []
        if self._stop_at is not None:
            times.append(min(self._stop_at, self._heard + QUIET))
        elif self._source is not None:
            times.append(self._silence_due())
        if self._source is not None and (deadline := self._source.jitter.deadline) is not None:
            times.append(deadline)
        return min(times, default=None)
