"""One sender on a track: its counters, its packets in order, its voices, the keys that it pressed, and its clock."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from media.codecs import Codec, Format
from media.dtmf import Keypad
from media.jitter import JitterBuffer
from media.rtp import Arrival, Packet, Widener
from media.senderclock import SenderClock
from media.voice import OpusDecoder, Voice


@dataclass(frozen=True, slots=True)
class PayloadTypes:
    """What was negotiated, by payload type."""

    codecs: dict[int, Codec]
    digits: dict[int, int]  # clock rates
    noise: dict[int, int]
    redundant: frozenset[int]  # wrappings around one of the others

    @classmethod
    def of(cls, formats: Iterable[Format]) -> "PayloadTypes":
        formats = tuple(formats)
        return cls(
            codecs={format.payload_type: format.codec for format in formats if format.codec is not None},
            digits={format.payload_type: format.clock_rate for format in formats if format.tells_digits},
            noise={format.payload_type: format.clock_rate for format in formats if format.is_noise},
            redundant=frozenset(format.payload_type for format in formats if format.repeats is not None),
        )

    def __contains__(self, payload_type: int) -> bool:
        return any(payload_type in part for part in (self.codecs, self.digits, self.noise, self.redundant))


@dataclass(slots=True)
class Source:
    """One sender (SSRC). It may change its codec at any packet."""

    ssrc: int
    types: PayloadTypes
    rate: int  # of what its voices put out
    opus: OpusDecoder
    jitter: JitterBuffer = field(default_factory=JitterBuffer)
    keypad: Keypad = field(default_factory=Keypad)
    voice: Voice | None = None  # that of the last audio
    clock: SenderClock | None = None  # that of the last audio, once a report or audio came
    end: int | None = None  # the timestamp, at the voice's clock, up to which audio or what stands for it was written,
    written: int = 0  # and how many samples the track had by then
    unreadable: int = 0  # payloads that did not come as far as a decoder
    _spoken: int = -1  # the payload type of `voice`
    _voices: dict[int, Voice] = field(default_factory=dict)
    _seq: Widener = field(default_factory=lambda: Widener(16))
    _timestamp: Widener = field(default_factory=lambda: Widener(32))

    @property
    def undecodable(self) -> int:
        return self.unreadable + sum(voice.failures for voice in self._voices.values())

    def packet(self, arrival: Arrival) -> Packet:
        """The packet in its place. One without audio takes a place in the sequence, and no time."""
        _, payload_type, number, timestamp, payload = arrival
        seq = self._seq.widen(number)
        codec = self.types.codecs.get(payload_type)
        if codec is not None:
            if samples := codec.samples(payload):
                return Packet(seq, self._timestamp.widen(timestamp), payload, samples, payload_type, codec.clock_rate)
            self.unreadable += bool(payload)  # one without a payload is padding
        # Beside audio, timestamps run on other clocks, and would carry the counting of wraps away with them.
        timestamp = self._timestamp.peek(timestamp)
        return Packet(seq, timestamp, payload, 0, payload_type, self.types.noise.get(payload_type, 0))

    def misses_before(self, arrival: Arrival) -> bool:
        """Whether something before this packet is missing."""
        return self.jitter.misses_before(self._seq.peek(arrival.sequence_number))

    def repeated(self, arrival: Arrival) -> Packet | None:
        """A packet from before, as a later one repeats it; the counters stay where they are. None where it is no audio:
        keys are told several times anyway."""
        codec = self.types.codecs.get(arrival.payload_type)
        if codec is None or not (samples := codec.samples(arrival.payload)):
            return None
        seq, timestamp = self._seq.peek(arrival.sequence_number), self._timestamp.peek(arrival.timestamp)
        return Packet(seq, timestamp, arrival.payload, samples, arrival.payload_type, codec.clock_rate)

    def speaks(self, packet: Packet) -> Voice:
        """The voice for a packet with audio."""
        if packet.payload_type == self._spoken:
            assert self.voice is not None
            return self.voice
        codec = self.types.codecs[packet.payload_type]
        if self.voice is None or self.voice.codec.clock_rate != codec.clock_rate:
            self.clock = SenderClock(codec.clock_rate)
            self.end = None
        voice = self._voices.get(packet.payload_type)
        if voice is None:
            voice = self._voices[packet.payload_type] = Voice(codec, self.rate, self.opus)
        self.voice, self._spoken = voice, packet.payload_type
        return voice

    def continues(self, packet: Packet) -> bool:
        """Whether the sender's clock goes on from what was written to this packet, forward and without a new start."""
        return self.end is not None and packet.timestamp >= self.end

    def place(self, timestamp: int) -> float | None:
        """Where in the track's samples a timestamp lies; None while there is nothing to count from."""
        if self.end is None or self.voice is None:
            return None
        return self.written + (timestamp - self.end) * self.rate / self.voice.codec.clock_rate

    def spoken(self, timestamp: int) -> float | None:
        """When the sample with this timestamp was spoken, by our clock; None while that is unknown."""
        return self.clock.spoken(timestamp & 0xFFFFFFFF) if self.clock is not None else None
