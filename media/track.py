"""One caller's packets to gapless frames: packets -> jitter buffer -> decoder -> frames. This shell owns the clock.

Time follows the sender: a hole and a silence that was never sent (DTX) each become as much audio as the sender's
clock says. When audio stops altogether, the wall clock supplies silence, once (`media/silence.py`).

There is no thread and no task here: a packet is worked off while it is received, and one timer does the rest.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from media import dtmf, red
from media.codecs import PCM, Format
from media.events import Digit, MediaEvent, Missed
from media.frames import FrameQueue, Framer
from media.jitter import Counts
from media.rivals import Rivals
from media.rtcp import SenderReport
from media.rtp import Arrival, Gap, Packet
from media.silence import Silence
from media.source import PayloadTypes, Source
from media.stats import TrackStats
from media.voice import OpusDecoder, Voice

BACKLOG = 2.0  # seconds of audio that may wait for the reader; the oldest gives way
LONGEST_FILL = 5.0  # seconds that a hole may add; a silence that is longer was none, and the clock is re-based
TOLD_LOSS = 0.100  # seconds of lost audio from which on it is told as missed; shorter ones are concealed well enough
QUIET = 0.200  # seconds without a packet after which a caller who has finished has sent everything
LONGEST_DRAIN = 1.0


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """The part of an event loop that a track needs."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer: ...


class Track:
    """Packets in by `receive`, frames out by iteration: `frame_samples` of float32 at `rate`, without a gap in time."""

    def __init__(
        self,
        formats: Iterable[Format],
        *,
        rate: int,
        frame_samples: int,
        backlog: float = BACKLOG,
        decoder: OpusDecoder = "auto",
        clock: Clock | None = None,
    ) -> None:
        self._types = PayloadTypes.of(formats)
        self._rate = rate
        self._decoder: OpusDecoder = decoder
        self._frame_samples = frame_samples
        self._frame_seconds = frame_samples / rate
        self._clock: Clock = clock or asyncio.get_running_loop()
        self._framer = Framer(rate, frame_samples)
        self._queue = FrameQueue(max(1, round(backlog / self._frame_seconds)), self._frame_seconds)
        self._source: Source | None = None
        self._rivals = Rivals()
        self._silence = Silence(rate, frame_samples)
        self._began = 0.0  # when the first packet came,
        self._heard = 0.0  # and the last
        self._stop_at: float | None = None  # when a drain ends at the latest
        self._timer: Timer | None = None
        self._wake_at = 0.0
        self._over = False
        self._ended = asyncio.Event()
        self._past = Counts()  # of the senders before this one
        self._past_undecodable = self._past_digits_dropped = 0
        self._received = 0
        self._recovered = 0
        self._digits = 0
        self._concealed = 0

    def receive(self, arrival: Arrival) -> None:
        """Take a packet. One that was not negotiated only takes its place in the sequence."""
        if self._over:
            return
        try:
            self._hear(arrival, self._clock.time())
        except Exception as error:  # whatever it was, the reader raises it, and that ends this call alone
            self._close(error)

    def report(self, report: SenderReport, now: float, round_trip: float | None) -> None:
        """The sender says which moment of its clock a timestamp is. Times are the clock's seconds."""
        source = self._source
        if source is not None and source.ssrc == report.ssrc and source.clock is not None:
            source.clock.report(report.ntp, report.timestamp, now, round_trip)

    def tell(self, event: MediaEvent) -> None:
        """Add an event between the frames."""
        self._queue.tell(event)

    @property
    def stats(self) -> TrackStats:
        """The figures so far, over every sender that spoke on this track."""
        source = self._source
        counts = self._past + source.jitter.counts if source is not None else self._past
        return TrackStats(
            received=self._received,
            expected=counts.released + counts.lost,
            repaired=counts.repaired + self._recovered,
            lost=counts.lost - self._recovered,
            late=counts.late,
            duplicate=counts.duplicate,
            reordered=counts.reordered,
            undecodable=self._past_undecodable + (source.undecodable if source is not None else 0),
            foreign=self._rivals.dropped,
            digits=self._digits,
            digits_dropped=self._past_digits_dropped + (source.keypad.dropped if source is not None else 0),
            events_dropped=self._queue.untold,
            concealed_seconds=self._concealed / self._rate,
            silent_seconds=self._silence.total / self._rate,
            dropped_seconds=self._queue.dropped * self._frame_seconds,
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
        if self._over:
            return
        self._over = True
        try:
            self._leave(self._clock.time())
            for frame in self._framer.rest():
                self._queue.put(frame)
        except Exception as error:  # whatever it was, the reader raises it, and that ends this call alone
            self._close(error)
        else:
            self._close()

    def _close(self, error: Exception | None = None) -> None:
        """Nothing more is taken. `error`: a fault of ours, which the reader is told of: it ends this call, where the
        event loop would only write it down, for every packet again."""
        self._over = True
        self._queue.end(error)
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def __aiter__(self) -> FrameQueue:
        return self._queue

    # Who is speaking

    def _hear(self, arrival: Arrival, now: float) -> None:
        source = self._source
        if source is None or source.ssrc != arrival.ssrc:
            self._meet(arrival, now)
        else:
            self._rivals.hear_speaker()
            self._take(source, arrival, now)

    def _meet(self, arrival: Arrival, now: float) -> None:
        """A packet of another sender than the one who speaks."""
        if arrival.payload_type not in self._types:
            return
        speaking = self._source is not None and now - self._heard < QUIET
        for taken in self._rivals.hear(arrival, now, speaking=speaking):
            if self._source is None or self._source.ssrc != taken.ssrc:
                self._leave(now)
                self._source = Source(taken.ssrc, self._types, self._rate, self._decoder)
                self._began = self._began or now
                self._silence.resume(now)
            self._take(self._source, taken, now)

    def _leave(self, now: float) -> None:
        """Say what the present sender still has to say, and keep its figures."""
        source = self._source
        if source is None:
            return
        self._write(source, source.jitter.flush(), now)
        self._tell_digits(source.keypad.flush())
        self._past += source.jitter.counts
        self._past_undecodable += source.undecodable
        self._past_digits_dropped += source.keypad.dropped
        self._source = None

    # What comes

    def _take(self, source: Source, arrival: Arrival, now: float) -> None:
        self._received += 1
        self._heard = now
        if arrival.payload_type in self._types.redundant:
            arrival = self._unwrap(source, arrival, now)
        source.jitter.put(source.packet(arrival), now)
        if items := source.jitter.pop(now):
            self._write(source, items, now)
        self._arm()

    def _unwrap(self, source: Source, arrival: Arrival, now: float) -> Arrival:
        """The packet in a packet, after those that it repeats have filled holes. RED that cannot be read is left as it
        is, and only takes its place in the sequence."""
        try:
            if not source.misses_before(arrival):
                return red.newest(arrival)
            *repeated, newest = red.unwrap(arrival)
        except ValueError:
            return arrival
        for one in repeated:
            packet = source.repeated(one)
            if packet is not None:
                source.jitter.repair(packet, now)
        return newest

    # What is written

    def _write(self, source: Source, items: list[Packet | Gap], now: float) -> None:
        for index, item in enumerate(items):
            if isinstance(item, Gap):
                self._fill(source, item, _packet_at(items, index + 1), now)
            elif item.samples:
                self._speak(source, item, now)
            else:
                self._note(source, item, now)

    def _speak(self, source: Source, packet: Packet, now: float) -> None:
        voice = source.speaks(packet)
        pcm = voice.decode(packet.payload, packet.samples)
        left_out = self._settle(source, packet, pcm) if self._silence.lent else 0
        self._push(source, pcm[left_out:], packet.timestamp + left_out * packet.rate // self._rate)
        source.end, source.written = packet.timestamp + packet.samples, self._framer.written
        self._silence.speak(pcm, packet.samples / packet.rate, now)

    def _settle(self, source: Source, packet: Packet, pcm: PCM) -> int:
        """Audio is back before all the silence that was lent for it: how many samples of it are left out."""
        if not source.continues(packet):
            self._silence.forgive()
        return self._silence.leave_out(pcm)

    def _note(self, source: Source, packet: Packet, now: float) -> None:
        """A packet without audio: a key, comfort noise, or nothing of ours."""
        self._silence.excuse()
        if packet.payload_type in self._types.digits:
            self._press(source, packet, now)
        elif packet.rate and source.voice is not None:
            source.voice.hush()  # comfort noise

    def _fill(self, source: Source, gap: Gap, following: Packet | None, now: float) -> None:
        voice = source.voice
        if voice is None or source.end is None:
            return
        whole = gap.samples * self._rate // gap.rate
        repaid = self._silence.repay(whole)
        wanted = whole - repaid
        begin = source.end + repaid * gap.rate // self._rate
        most = min(int(LONGEST_FILL * self._rate), self._room(now))
        if gap.lost:
            pcm, recovered = self._stand_in(voice, min(wanted, most), following)
            self._push(source, pcm, begin)
            self._tell_loss(repaid + pcm.size - recovered, recovered)
            self._silence.resume(now)
        else:
            self._push(source, self._pause(voice, wanted, most), begin)
        source.end, source.written = source.end + gap.samples, self._framer.written

    def _room(self, now: float) -> int:
        """Samples that may be made up before this stream is further ahead of the wall clock than a sender's clock, or
        a network that delivers late, could take it."""
        return max(0, int((now - self._began + LONGEST_FILL) * self._rate) - self._framer.written)

    def _stand_in(self, voice: Voice, wanted: int, following: Packet | None) -> tuple[PCM, int]:
        """What was lost: something that sounds like it, and at its end what the packet that follows has a copy of, so
        many samples."""
        repaired = None
        if following is not None and following.samples and self._types.codecs[following.payload_type] is voice.codec:
            repaired = voice.recover(following.payload, wanted)
        pcm, recovered = repaired or (voice.conceal(wanted), 0)
        self._recovered += recovered > 0
        self._concealed += wanted - recovered
        return pcm, recovered

    def _tell_loss(self, lost: int, recovered: int) -> None:
        """So many samples are lost for good, before the last ones that were recovered."""
        seconds = lost / self._rate
        if seconds >= TOLD_LOSS:
            stop = self._framer.position - recovered / self._rate
            self._queue.tell(Missed(max(0.0, stop - seconds), stop))

    def _pause(self, voice: Voice, wanted: int, most: int) -> PCM:
        """A silence of the sender's, unless it is so long that the sender's clock must have leapt."""
        voice.hush()
        if wanted > most:
            wanted = 0
        self._silence.pause(wanted)
        return np.zeros(wanted, np.float32)

    def _press(self, source: Source, packet: Packet, now: float) -> None:
        try:
            event = dtmf.parse(packet.payload)
        except ValueError:
            source.unreadable += 1
            return
        place = source.place(packet.timestamp)
        digits = source.keypad.put(
            event,
            packet.timestamp,
            rate=self._types.digits[packet.payload_type],
            position=self._framer.position,
            begun=None if place is None else place / self._rate,
            now=now,
        )
        self._tell_digits(digits)

    def _tell_digits(self, digits: list[Digit]) -> None:
        for digit in digits:
            self._digits += 1
            self._queue.tell(digit)

    def _push(self, source: Source, pcm: PCM, timestamp: int) -> None:
        """Add audio whose first sample has this timestamp."""
        began = self._framer.written
        for frame in self._framer.push(pcm):
            spoken = source.spoken(timestamp)
            dated = frame if spoken is None else replace(frame, spoken=spoken + frame.start - began / self._rate)
            self._queue.put(dated)

    # What time brings

    def _tick(self) -> None:
        """The one timer: a hole's deadline, a key that was let go, silence from the wall clock, the end of a drain."""
        self._timer = None
        if self._over:
            return
        now = self._clock.time()
        if self._stop_at is not None and now >= min(self._stop_at, self._heard + QUIET):
            self.end()
            return
        try:
            if self._source is not None:
                self._look(self._source, now)
            self._arm()
        except Exception as error:  # whatever it was, the reader raises it, and that ends this call alone
            self._close(error)

    def _look(self, source: Source, now: float) -> None:
        self._write(source, source.jitter.pop(now), now)
        pressed = source.keypad.deadline
        if pressed is not None and now >= pressed:
            self._tell_digits(source.keypad.flush())
        if self._stop_at is None and source.jitter.deadline is None:
            self._lend(source, self._silence.lend(now))

    def _lend(self, source: Source, frames: int) -> None:
        if frames and source.voice is not None:
            source.voice.hush()
        for _ in range(frames):
            for frame in self._framer.push(np.zeros(self._frame_samples, np.float32)):
                self._queue.put(frame)

    def _arm(self) -> None:
        """Have the timer wake in time. One that wakes too early is left alone: it looks again by itself, and that is
        cheaper than a new timer for every packet."""
        wake_at = self._next_wake()
        if self._timer is not None:
            if self._wake_at <= wake_at:
                return
            self._timer.cancel()
            self._timer = None
        if wake_at < math.inf:
            self._wake_at = wake_at
            self._timer = self._clock.call_at(wake_at, self._tick)

    def _next_wake(self) -> float:
        wake_at = math.inf if self._stop_at is None else min(self._stop_at, self._heard + QUIET)
        source = self._source
        if source is None:
            return wake_at
        deadline = source.jitter.deadline
        if deadline is not None:
            wake_at = min(wake_at, deadline)
        elif self._stop_at is None:
            wake_at = self._silence.deadline  # not while audio waits behind a hole
        pressed = source.keypad.deadline
        return wake_at if pressed is None else min(wake_at, pressed)


def _packet_at(items: list[Packet | Gap], index: int) -> Packet | None:
    item = items[index] if index < len(items) else None
    return item if isinstance(item, Packet) else None
