"""Packets to frames, with the time in our hands."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.events import Missed
from media.frames import Frame
from media.red import Block
from media.rtcp import SenderReport
from media.rtp import Arrival
from media.silence import LONGEST_DEBT
from media.track import LONGEST_FILL
from media.voice import OpusDecoder, Voice
from tests.media.caller import FRAME, RATE, opus_packets, tone
from tests.media.line import DECODERS, G722, HUSH, OPUS, PCMU, PTIME, RED, VOICE, Line, loudness
from tests.media.redundancy import wrap


@pytest.mark.parametrize("decoder", DECODERS)
async def test_a_frame_comes_with_the_packet_that_completes_it(decoder: OpusDecoder) -> None:
    line = Line(decoder=decoder)
    for index in range(3):
        line.hear(index)
    assert line.heard() == []
    line.hear(3)
    (frame,) = line.frames()
    assert frame.start == 0.0
    assert frame.pcm.shape == (FRAME,)
    assert frame.pcm.dtype == np.float32
    line.speak(range(4, 100))
    assert [frame.start for frame in line.frames()] == pytest.approx([0.08 * index for index in range(1, 25)])


@pytest.mark.parametrize("decoder", DECODERS)
async def test_a_lost_packet_is_concealed_at_the_deadline(decoder: OpusDecoder) -> None:
    line = Line(decoder=decoder)
    line.speak([*range(5), *range(6, 12)])
    frames = line.frames()
    assert len(frames) == 3
    assert min(loudness(frames)) > 0.1  # no hard silence anywhere
    assert line.track.stats.lost == 1
    assert line.track.stats.concealed_seconds == pytest.approx(0.02)


async def test_a_long_loss_is_told_before_the_frames_after_it() -> None:
    line = Line()
    line.speak(range(8))
    line.clock.advance(0.02)
    line.hear(16)
    line.clock.advance(0.2)
    items = line.heard()
    (missed,) = (item for item in items if isinstance(item, Missed))
    assert (missed.start, missed.stop) == pytest.approx((0.16, 0.32))


@pytest.mark.parametrize("decoder", DECODERS)
async def test_a_silence_that_was_not_sent_takes_its_time(decoder: OpusDecoder) -> None:
    line = Line(decoder=decoder)
    line.speak(range(4))
    line.hear(4, at=24)  # 400 ms later by the sender's clock, at once by ours
    line.hear(5, at=25)
    line.hear(6, at=26)
    line.hear(7, at=27)
    frames = line.frames()
    assert [frame.start for frame in frames] == pytest.approx([0.08 * index for index in range(7)])
    assert loudness(frames) == [pytest.approx(0.17, abs=0.02), 0, 0, 0, 0, 0, pytest.approx(0.17, abs=0.02)]


async def test_when_packets_stop_the_wall_clock_supplies_silence() -> None:
    line = Line()
    for index in range(4):
        line.hear(index, payload=HUSH)
        line.clock.advance(0.02)
    line.heard()
    line.clock.advance(0.095)  # 115 ms since the last packet
    assert line.frames() == []
    line.clock.advance(0.010)
    assert loudness(line.frames()) == [0.0]
    line.clock.advance(0.8)
    assert len(line.frames()) == 10


async def test_who_breaks_off_in_mid_word_is_waited_for() -> None:
    line = Line()
    line.speak(range(4))
    line.heard()
    line.clock.advance(0.375)  # 395 ms since the last packet
    assert line.frames() == []
    line.clock.advance(0.010)  # nothing is lost by waiting: all of it comes at once
    assert loudness(line.frames()) == [0.0] * 4
    line.clock.advance(0.08)
    assert len(line.frames()) == 1


@pytest.mark.parametrize("index", [3, 0, 2])
async def test_a_packet_that_came_twice_or_late_does_not_end_the_wait(index: int) -> None:
    line = Line()
    line.speak([0, 1, 3])
    line.clock.advance(0.1)  # the hole is given up
    line.hear(4)
    line.heard()
    line.clock.advance(0.05)
    line.hear(index)  # the last one again, one from before, or one that was given up
    assert line.track.stats.duplicate + line.track.stats.late == 1
    line.clock.advance(0.34)
    assert line.frames() == []
    line.clock.advance(0.02)
    assert len(line.frames()) == 4


async def test_a_stall_in_mid_word_leaves_no_trace() -> None:
    line = Line()
    for second in range(3):
        line.speak(range(20 * second, 20 * second + 4))
        line.clock.advance(0.3)  # held up, and then all at once
        for index in range(20 * second + 4, 20 * second + 20):
            line.hear(index)
        line.clock.advance(0.02)
    frames = line.frames()
    assert line.track.stats.silent_seconds == 0.0
    assert len(frames) == 15
    assert min(loudness(frames)) > 0.1


async def test_supplied_silence_is_not_inserted_again() -> None:
    line = Line()
    line.speak(range(4))
    line.clock.advance(2.98)  # the next packet is 3 s after the last
    line.hear(4, at=153)
    line.hear(5, at=154)
    line.hear(6, at=155)
    line.hear(7, at=156)
    frames = line.frames()
    assert frames[-1].start + 0.08 == pytest.approx(157 * 0.02, abs=0.08)
    assert loudness(frames[1:-2]) == [0.0] * (len(frames) - 3)


async def test_a_stall_costs_time_only_until_the_next_silence() -> None:
    line = Line()
    line.speak(range(4))
    line.clock.advance(0.4)  # packets were held up, and come all at once
    for index in range(4, 28):
        line.hear(index)
    held = line.track.stats.silent_seconds
    assert held > 0.2
    line.hear(28, at=78)  # then the caller is silent for a second
    assert line.track.stats.silent_seconds == pytest.approx(1.0)  # of which the supplied part was already there


@pytest.mark.parametrize("leap", [100_000, -100_000])
async def test_a_leap_of_the_clock_adds_no_time(leap: int) -> None:
    line = Line()
    line.speak(range(4))
    for index in range(4, 8):
        line.hear(index, at=leap + index)
    assert [frame.start for frame in line.frames()] == pytest.approx([0.0, 0.08])
    assert line.track.stats.silent_seconds == 0


async def test_a_silence_of_almost_five_seconds_is_still_one() -> None:
    line = Line()
    line.speak(range(4))
    line.hear(4, at=4 + round(LONGEST_FILL / 0.02) - 1)
    assert line.track.stats.silent_seconds == pytest.approx(LONGEST_FILL - 0.02)


@pytest.mark.parametrize("skipped", [0, 200])
async def test_a_clock_that_leaps_again_and_again_does_not_outrun_ours(skipped: int) -> None:
    line = Line()
    for index in range(100):
        line.hear(index * (1 + skipped), at=200 * index)
        line.clock.advance(0.02)
    assert line.frames()[-1].start < 100 * 0.02 + LONGEST_FILL + 0.1


async def test_a_clock_that_leaps_over_a_hold_leaves_the_time_as_it_passed() -> None:
    line = Line()
    line.speak(range(4))
    line.clock.advance(30.0)
    line.hear(4, at=-100_000)
    line.clock.advance(0.02)
    line.hear(5, at=-100_000 + 1 + 50)  # a second of silence is not held against what was supplied before the leap
    assert line.track.stats.silent_seconds == pytest.approx(31.0, abs=0.15)


async def test_a_hold_on_which_the_clock_stood_still_is_forgiven() -> None:
    line = Line()
    line.speak(range(4))
    line.clock.advance(30.0)
    line.speak(range(4, 8))  # goes on as if no time had passed
    silent = line.track.stats.silent_seconds
    line.hear(8, at=8 + 150)  # three seconds of silence, of which one is still owed
    assert line.track.stats.silent_seconds - silent == pytest.approx(3.0 - LONGEST_DEBT)


async def test_a_new_sender_goes_on_where_the_last_one_was() -> None:
    line = Line()
    line.speak(range(4))
    for index in range(4):
        line.track.receive(Arrival(99, 111, 10 + index, 5 + index * PTIME, VOICE[index]))
    assert [frame.start for frame in line.frames()] == pytest.approx([0.0, 0.08])


@pytest.mark.parametrize("decoder", DECODERS)
async def test_another_codec_takes_over_in_mid_call(decoder: OpusDecoder) -> None:
    line = Line(decoder=decoder)
    line.speak(range(4))
    for index in range(4, 8):
        line.hear(index, payload=bytes(range(160)), format=PCMU)
    for index in range(8, 12):
        line.hear(index, payload=bytes(range(160)), format=G722)
    line.hear(3)  # a straggler does not switch back
    frames = line.frames()
    assert [frame.start for frame in frames] == pytest.approx([0.0, 0.08, 0.16])
    assert min(loudness(frames)) > 0


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("payload", [b"", b"\xff" * 40, b"\x03", b"\x78\x00"])
async def test_a_bad_payload_makes_nobody_deaf(payload: bytes, decoder: OpusDecoder) -> None:
    line = Line(decoder=decoder)
    line.speak(range(8))
    for index in range(8, 12):
        line.hear(index, payload=payload)
    line.speak(range(12, 40))
    line.clock.advance(0.2)
    assert loudness(line.frames())[-3] == pytest.approx(0.17, abs=0.02)


async def test_packets_of_no_codec_keep_their_place_in_the_sequence() -> None:
    line = Line()
    line.speak(range(4))
    line.track.receive(Arrival(7, 100, (65_530 + 4) % 65_536, 0, b"\x01\x0a\x00\xa0"))
    line.speak(range(5, 9))
    assert line.track.stats.lost == 0
    line.track.receive(Arrival(8, 100, 0, 0, b"\x01"))  # and begin nothing
    assert line.track.stats.received == 9


async def test_a_loss_longer_than_the_clock_may_jump_is_told_without_what_was_heard() -> None:
    line = Line()
    line.speak(range(8))
    line.hear(8 + 1_000)
    line.clock.advance(0.2)
    (missed,) = (item for item in line.heard() if isinstance(item, Missed))
    assert missed.start == pytest.approx(8 * 0.02, abs=0.02)
    assert missed.stop == pytest.approx(missed.start + LONGEST_FILL, abs=0.2)


async def test_the_oldest_audio_gives_way_and_is_told() -> None:
    line = Line(backlog=0.16)
    line.speak(range(20))
    missed, *frames = line.heard()
    assert isinstance(missed, Missed)
    assert (missed.start, missed.stop) == pytest.approx((0.0, 0.24))
    assert [item.start for item in frames if isinstance(item, Frame)] == pytest.approx([0.24, 0.32])
    assert line.track.stats.dropped_seconds == pytest.approx(0.24)


async def test_the_last_packets_are_delivered() -> None:
    line = Line()
    line.speak([0, 1, 2, 3, 4, 6])
    drained = asyncio.create_task(line.track.drain())
    await asyncio.sleep(0)
    line.clock.advance(0.1)
    line.hear(7)
    line.clock.advance(0.19)
    assert not drained.done()
    line.clock.advance(0.02)
    await asyncio.wait_for(drained, 1)
    frames = [item async for item in line.track]
    assert len(frames) == 2
    line.hear(8)  # too late
    assert line.clock.waiting() == []


async def test_a_caller_who_goes_on_sending_is_drained_in_a_second() -> None:
    line = Line()
    line.speak(range(4))
    drained = asyncio.create_task(line.track.drain())
    await asyncio.sleep(0)
    line.speak(range(4, 53))
    assert not drained.done()
    line.speak(range(53, 56))
    await asyncio.wait_for(drained, 1)


async def test_draining_a_track_that_heard_nothing_ends_it() -> None:
    line = Line()
    drained = asyncio.create_task(line.track.drain())
    await asyncio.sleep(0)
    line.clock.advance(0.21)
    await asyncio.wait_for(drained, 1)
    assert [item async for item in line.track] == []


async def test_no_timer_is_made_for_every_packet() -> None:
    line = Line()
    made = 0
    for index in range(100):
        before = len(line.clock.timers)
        line.hear(index)
        made += len(line.clock.timers) - before
        line.clock.advance(0.02)
    assert made <= 2


@pytest.mark.parametrize("meets", ["a packet", "the timer", "the end"])
async def test_a_fault_of_ours_is_told_to_the_reader_behind_what_came_before(
    meets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line()
    line.speak(range(4))
    line.hear(5)  # waits for the one before it
    with monkeypatch.context() as patch:
        patch.setattr(Voice, "decode", lambda *_: 1 / 0)
        patch.setattr(Voice, "conceal", lambda *_: 1 / 0)
        if meets == "a packet":
            line.hear(4)
        elif meets == "the timer":
            line.clock.advance(1.0)
        else:
            line.track.end()
    line.speak(range(6, 12))  # too late
    queue = aiter(line.track)
    assert isinstance(await anext(queue), Frame)
    with pytest.raises(ZeroDivisionError):
        await anext(queue)
    assert line.clock.waiting() == []
    await asyncio.wait_for(line.track.drain(), 1)


# Redundancy


def pcm(frames: list[Frame]) -> bytes:
    return b"".join(frame.pcm.tobytes() for frame in frames)


@pytest.mark.parametrize("decoder", DECODERS)
async def test_single_losses_are_whole_again_one_packet_later(decoder: OpusDecoder) -> None:
    whole, holed = Line(decoder=decoder), Line(decoder=decoder)
    for index in range(60):
        whole.hear_again(index)
        if index % 3 != 1:
            holed.hear_again(index)
        holed.clock.advance(0.02)
    assert pcm(holed.frames()) == pcm(whole.frames())
    assert (holed.track.stats.repaired, holed.track.stats.lost) == (20, 0)


async def test_without_a_loss_nothing_is_repaired_and_nothing_twice() -> None:
    plain, redundant = Line(), Line()
    for index in range(40):
        plain.hear(index)
        redundant.hear_again(index, depth=2)
    assert pcm(redundant.frames()) == pcm(plain.frames())
    assert (redundant.track.stats.repaired, redundant.track.stats.duplicate) == (0, 0)


async def test_a_longer_hole_is_repaired_as_far_as_the_redundancy_reaches() -> None:
    line = Line()
    for index in [*range(10), *range(13, 30)]:
        line.hear_again(index, depth=2)
        line.clock.advance(0.02)
    line.clock.advance(0.2)
    assert (line.track.stats.repaired, line.track.stats.lost) == (2, 1)


@pytest.mark.parametrize("decoder", DECODERS)
async def test_a_packet_that_comes_after_its_repetition_is_not_played_twice(decoder: OpusDecoder) -> None:
    line, ordered = Line(decoder=decoder), Line(decoder=decoder)
    for index in [0, 1, 3, 2, *range(4, 20)]:
        line.hear_again(index)
    for index in range(20):
        ordered.hear_again(index)
    assert pcm(line.frames()) == pcm(ordered.frames())
    stats = line.track.stats
    assert (stats.reordered, stats.repaired, stats.duplicate) == (1, 0, 0)


async def test_a_repetition_from_before_a_digit_is_not_taken_for_the_lost_packet_before_it() -> None:
    """A packet that is no audio lies between: counting back points at it, and the time tells better."""
    line = Line()
    line.speak(range(10))
    line.hear(11, payload=wrap([Block(111, 2 * PTIME, VOICE[9]), Block(111, 0, VOICE[11])]), format=RED)
    line.clock.advance(0.2)
    assert line.track.stats.repaired == 0


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 3))
def test_only_what_nothing_repeats_is_lost(arrive: list[bool], depth: int) -> None:
    line = Line()
    came = [True, *arrive, True]
    for index, one in enumerate(came):
        if one:
            line.hear_again(index, depth=min(depth, index))
        line.clock.advance(0.02)
    line.clock.advance(0.2)
    whole = [any(came[index : index + depth + 1]) for index in range(len(came))]
    assert line.track.stats.lost == whole.count(False)
    assert line.track.stats.repaired == whole.count(True) - came.count(True)


async def test_red_that_cannot_be_read_only_takes_its_place() -> None:
    line = Line()
    line.speak(range(10))
    line.hear(10, payload=b"\xef\x0f", format=RED)
    for index in range(11, 20):
        line.hear_again(index)
    assert line.track.stats.lost == 0
    assert len(line.frames()) == 5


# Senders


async def test_no_packet_of_a_sender_who_takes_over_is_lost() -> None:
    line = Line()
    line.speak(range(4))
    other = [Arrival(99, 111, 10 + index, 5 + index * PTIME, VOICE[index]) for index in range(4)]
    line.track.receive(other[0])
    line.hear(4)  # the old sender's last packet comes between
    for arrival in other[1:]:
        line.track.receive(arrival)
    line.hear(5)  # and one that nobody waits for any more
    assert len(line.frames()) == 2
    stats = line.track.stats
    assert (stats.received, stats.expected, stats.lost) == (9, 9, 0)


async def test_after_a_silence_another_sender_is_followed_at_its_first_packet() -> None:
    line = Line()
    line.speak(range(4))
    line.clock.advance(1.0)
    line.track.receive(Arrival(99, 111, 10, 5, VOICE[0]))
    assert line.track.stats.received == 5


async def test_senders_who_shout_between_cost_neither_audio_nor_decoders() -> None:
    line, alone = Line(), Line()
    for index in range(300):
        line.hear(index)
        line.track.receive(Arrival(1_000 + index, 111, 7, 7, VOICE[0]))
        alone.hear(index)
        line.clock.advance(0.02)
        alone.clock.advance(0.02)
    assert pcm(line.frames()) == pcm(alone.frames())
    assert line.track.stats.foreign == 299  # the last one may still take over


async def test_three_hundred_senders_in_a_row_leave_the_next_one_heard() -> None:
    line = Line()
    line.speak(range(4))
    for ssrc in range(300):
        line.track.receive(Arrival(1_000 + ssrc, 111, 7, 7, VOICE[0]))
    line.speak(range(4, 40))
    assert min(loudness(line.frames()[-3:])) > 0.1


async def test_a_codec_that_changes_with_every_packet_has_one_decoder_each() -> None:
    line = Line()
    for index in range(100):
        line.hear(index, payload=None if index % 2 else bytes(range(160)), format=OPUS if index % 2 else PCMU)
        line.clock.advance(0.02)
    assert line.track._source is not None
    assert len(line.track._source._voices) == 2
    frames = line.frames()
    assert len(frames) == 25
    assert min(loudness(frames)) > 0.05


@pytest.mark.parametrize("decoder", DECODERS)
async def test_a_loss_while_the_codec_changes_is_as_long_as_what_is_missing(decoder: OpusDecoder) -> None:
    line = Line(decoder=decoder)
    line.speak(range(8))
    for index in range(10, 18):
        line.hear(index, payload=bytes(range(160)), format=PCMU)
        line.clock.advance(0.02)
    line.clock.advance(0.06)
    assert line.track.stats.concealed_seconds == pytest.approx(0.04)
    assert len(line.frames()) == 18 // 4


# Time


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("sizes", [(480, 960, 1_920, 2_880, 5_760), (5_760, 120, 5_760, 240)])
async def test_packets_of_any_length_are_worth_their_time(sizes: tuple[int, ...], decoder: OpusDecoder) -> None:
    line = Line(decoder=decoder)
    packets = {size: opus_packets(tone(0.5), size) for size in sizes if size >= 480}
    short = {120: b"\xe0" + bytes(20), 240: b"\xe8" + bytes(20)}
    timestamp = 0
    for index in range(60):
        size = sizes[index % len(sizes)]
        payload = short[size] if size in short else packets[size][0]
        line.track.receive(Arrival(7, 111, index, timestamp, payload))
        timestamp += size
        line.clock.advance(size / 48_000)
    assert line.track.stats.silent_seconds == 0
    assert line.track.stats.undecodable == 0
    assert len(line.frames()) == timestamp // 3_840


@pytest.mark.parametrize("drift", [2e-4, -2e-4])
async def test_after_an_hour_of_a_drifting_clock_time_is_still_the_senders(drift: float) -> None:
    line = Line()
    g711 = bytes(range(240)) * 4  # 120 ms
    place = 0
    for index in range(3_600 * 50 // 6):
        if index % 100 == 99:
            place += 50  # a second of silence, of which nothing is sent
            line.clock.advance(1.0 * (1 + drift))
        line.track.receive(Arrival(7, 0, index % 65_536, place * 160 % 2**32, g711))
        place += 6
        line.clock.advance(0.12 * (1 + drift))
    position = line.frames()[-1].start + FRAME / RATE
    assert position == pytest.approx(place * 0.02, abs=0.2)
    assert line.track.stats.silent_seconds == pytest.approx(300.0, abs=1.0)


@pytest.mark.parametrize("decoder", DECODERS)
async def test_packets_that_were_held_up_cost_no_time_for_good(decoder: OpusDecoder) -> None:
    """What was supplied while they were is left out of the next quiet moment, which is all that a caller who never
    stops sending has."""
    line = Line(decoder=decoder)
    quiet = opus_packets(tone(1.0) // 1_000)
    line.speak(range(8))
    line.clock.advance(0.4)
    for index in range(8, 28):
        line.hear(index)
    line.speak(range(28, 30))
    supplied = line.track.stats.silent_seconds
    assert supplied > 0.2
    for index in range(30, 60):
        line.hear(index, payload=quiet[index % len(quiet)])
        line.clock.advance(0.02)
    line.speak(range(60, 64))
    assert line.frames()[-1].start + FRAME / RATE == pytest.approx(64 * 0.02, abs=0.08)


async def test_each_hold_is_silent_once_and_what_follows_is_heard() -> None:
    line = Line()
    place = 0
    for call in range(3):
        for index in range(40):
            line.hear(call * 40 + index, at=place)
            place += 1
            line.clock.advance(0.02)
        line.clock.advance(3.0)
        place += 150
    assert line.track.stats.silent_seconds == pytest.approx(9.0, abs=0.2)
    assert line.frames()[-1].start == pytest.approx(place * 0.02, abs=0.25)


async def test_a_sender_of_nothing_new_does_not_starve_the_engine() -> None:
    line = Line()
    line.speak(range(8))
    line.heard()
    for _ in range(100):
        line.hear(3)  # the same one again and again
        line.clock.advance(0.02)
    assert len(line.frames()) > 20
    assert line.track.stats.duplicate == 100


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("garbage", [b"\xff" * 40, b"\x7a\xff"])
async def test_a_sender_of_garbage_alone_does_not_starve_the_engine(garbage: bytes, decoder: OpusDecoder) -> None:
    line = Line(decoder=decoder)
    for index in range(100):
        line.hear(index, payload=garbage)
        line.clock.advance(0.02)
    assert len(line.frames()) >= 24
    assert line.track.stats.undecodable == 100


# The sender's clock


def reported(line: Line, *, late: float = 0.0) -> None:
    """Two reports: the sender's wall clock began with its first packet, when ours was 100 s."""
    for seconds in (0.0, 1.0):
        now = 100.0 + seconds + late
        report = SenderReport(7, 5_000.0 + seconds, (4_294_900_000 + round(seconds * 48_000)) % 2**32)
        line.track.report(report, now, None)


async def test_a_frame_tells_when_it_was_spoken() -> None:
    line = Line()
    line.hear(0)
    reported(line)
    for index in range(1, 100):
        line.hear(index)
    spoken = [frame.spoken for frame in line.frames()]
    assert spoken == pytest.approx([100.0 + 0.08 * index for index in range(25)])


async def test_after_a_loss_and_a_silence_it_still_does() -> None:
    line = Line()
    line.hear(0)
    reported(line)
    line.speak([*range(1, 5), *range(7, 12)])
    line.clock.advance(1.0)
    for index in range(12, 24):
        line.hear(index, at=index + 50)
        line.clock.advance(0.02)
    frames = line.frames()
    assert frames[-1].spoken == pytest.approx(100.0 + frames[-1].start)
    assert len(frames) == 74 // 4


async def test_without_reports_or_with_those_of_others_nobody_knows_when_it_was_spoken() -> None:
    line = Line()
    line.track.report(SenderReport(7, 5_000.0, 0), 100.0, None)  # before anybody spoke
    line.hear(0)
    for seconds in (0.0, 1.0):
        line.track.report(SenderReport(8, 5_000.0 + seconds, 0), 100.0 + seconds, None)
    line.speak(range(1, 12))
    assert {frame.spoken for frame in line.frames()} == {None}
