"""What a session costs: processor time, memory and threads, of the receiver's process alone."""

from dataclasses import asdict, dataclass

from bench.media.generator import Script
from bench.media.network import PACKET, without
from bench.media.speech import CLIPS, clip_samples, encode
from bench.media.statistics import RATE
from bench.media.trial import Receiver, Usage, receiving

WARM = 2.0  # seconds that the first calls speak before memory and threads are counted


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one session among `sessions`."""

    sessions: int
    cpu: float  # milliseconds per second of its audio that came out
    cpu_red: float | None  # the same with a sender that repeats each packet, where the receiver asks for that
    busy: float  # share of the core that all sessions took; near 1 the receiver cannot keep up
    memory: float  # MiB
    threads: float


async def measure(name: str, sessions: int, seconds: float) -> dict[str, float | None]:
    """Few calls, then all of them: memory and threads by the difference, and processor time with all. At least 2."""
    voice = _speech(seconds)
    few = max(1, sessions // 8)
    async with receiving(name) as receiver:
        await receiver.connect(few, keep=False)
        await receiver.play([_script(voice[: int(WARM / PACKET)])] * few)
        early = await receiver.usage()
        await receiver.connect(sessions - few, keep=False)
        red = await _with_red(receiver, voice)
        before = await receiver.usage()
        await receiver.play([_script(voice)] * sessions)
        late = (await receiver.finish()).usage
    plain = _cpu_per_second(before, late)
    more = sessions - few
    return asdict(
        Cost(
            sessions=sessions,
            cpu=round(plain * 1e3, 2),
            cpu_red=None if red is None else round(red * 1e3, 2),
            busy=round(plain * sessions, 2),
            memory=round((late.memory - early.memory) / 2**20 / more, 2),
            threads=round((late.threads - early.threads) / more, 2),
        )
    )


async def _with_red(receiver: Receiver, voice: list[bytes]) -> float | None:
    if not receiver.speakers[0].takes_red:
        return None
    before = await receiver.usage()
    await receiver.play([_script(voice, redundant=True)] * len(receiver.speakers))
    return _cpu_per_second(before, await receiver.usage())


def _cpu_per_second(before: Usage, after: Usage) -> float:
    """Seconds of processor time for a second of audio. What came out counts, not what was sent: a receiver that falls
    behind or loses audio has not done the work."""
    return (after.cpu - before.cpu) / ((after.samples - before.samples) / RATE)


def _script(voice: list[bytes], *, redundant: bool = False) -> Script:
    return Script(voice, without(len(voice), ()), redundant)


def _speech(seconds: float) -> list[bytes]:
    """The longest clip, again and again."""
    packets = list(encode(clip_samples(max(CLIPS, key=lambda clip: clip.stop - clip.start))))
    wanted = round(seconds / PACKET)
    return (packets * (wanted // len(packets) + 1))[:wanted]
