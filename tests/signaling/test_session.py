import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, ClassVar

import pytest

from engine.errors import Unavailable
from engine.events import Mark, Partial, Pause, Step, Word, WordEnd
from media.errors import SlowReader
from media.events import Quality
from signaling import session as session_module
from signaling.asked import MOST_MARKS
from signaling.commands import Command, Say
from signaling.dialects.base import Message
from signaling.dialects.native import Native
from signaling.errors import BadMessage, UnknownSession
from signaling.metrics import Metrics
from signaling.session import TABLE, Limits, Session, Ticket
from signaling.transports.base import Gone, Lost
from tests.signaling.doubles import SECONDS, Line, Recorded

NATIVE = Native()


class Call:
    """A session under test, its stream, and what is needed to look at it."""

    def __init__(self, limits: Limits) -> None:
        self.stream = Recorded()
        self.metrics = Metrics()
        self.session = Session(Ticket.new(), self.stream, limits, self.metrics)
        self.running = asyncio.create_task(self.session.run())

    async def reason(self) -> str:
        async with asyncio.timeout(3):
            return await asyncio.shield(self.running)


@pytest.fixture
async def make_call() -> AsyncIterator[Any]:
    calls: list[Call] = []

    def make(**limits: float) -> Call:
        calls.append(Call(Limits(**limits)))
        return calls[-1]

    yield make
    for call in calls:
        call.session.end("bye")
        await call.reason()


def types(line: Line) -> list[str]:
    return [json.loads(message)["type"] for message in line.told]


async def test_a_call_is_heard_told_and_ended_by_a_goodbye(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    line.audio(0)
    await call.stream.heard(1_920)
    for event in (Partial("hel"), Word("hello", 0.0), WordEnd(0.05), Pause(0.06), Mark(3), Step(1, (), 0.0)):
        call.stream.outbox.put(event)
    await line.wait_for('"mark"')
    line.hang_up()
    assert await call.reason() == "bye"
    assert types(line) == ["ready", "partial", "word", "word_end", "pause", "mark", "ended"]
    assert call.stream.closed
    assert line.closed.is_set()


async def test_a_caller_is_greeted_before_its_first_message_is_answered(make_call: Any) -> None:
    call, line = make_call(), Line()
    line.say("what is this")
    call.session.join(line, NATIVE)
    await line.wait_for('"error"')
    assert types(line) == ["ready", "error"]


async def test_marks_that_wait_for_an_engine_are_bounded(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    for id in range(MOST_MARKS + 1):
        line.say(json.dumps({"type": "mark", "id": id}))
    await line.wait_for("marks wait already")
    assert call.stream.given == list(range(MOST_MARKS))


async def test_verbs_reach_the_engine_in_their_order(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    for message in ('{"type":"flush"}', '{"type":"mark","id":5}', '{"type":"clear"}'):
        line.say(message)
    await call.stream.asked("clear")
    assert call.stream.given == ["flush", 5, "clear"]


async def test_a_message_that_cannot_be_read_is_answered_and_the_call_goes_on(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    line.say("nonsense")
    line.say('{"type":"flush"}')
    await call.stream.asked("flush")
    assert json.loads(await line.wait_for('"error"'))["code"] == "bad_message"
    assert call.session.state == "live"


async def test_finish_lets_the_last_words_come_and_then_ends(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    line.say('{"type":"finish"}')
    await call.stream.asked("finish")
    assert call.session.state == "draining"
    call.stream.outbox.put(Word("last", 0.0))
    call.stream.outbox.end()
    assert await call.reason() == "finished"
    assert types(line)[-2:] == ["word", "ended"]


async def test_a_lost_caller_is_held_with_its_words_flushed_and_goes_on_where_it_was(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    call.stream.outbox.put(Word("one", 0.0))
    await line.wait_for("one")
    line.vanish()
    await call.stream.asked("flush")
    assert call.session.state == "held"
    call.stream.outbox.put(Word("two", 0.1))
    again = Line()
    seen = call.session.log.seq
    call.session.join(again, NATIVE, after=1)
    await again.wait_for("two")
    assert [json.loads(message).get("text") for message in again.told] == [None, "two"]
    assert seen <= 2
    assert call.session.state == "live"


async def test_a_caller_that_does_not_come_back_ends_after_the_grace(make_call: Any) -> None:
    call, line = make_call(grace=0.05), Line()
    call.session.join(line, NATIVE)
    line.vanish()
    assert await call.reason() == "lost"


async def test_a_caller_that_closes_its_media_has_little_time_to_call_anew(
    make_call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "HANG_UP_GRACE", 0.05)
    call, line = make_call(grace=60.0), Line()
    call.session.join(line, NATIVE)
    line.close_media()
    assert await call.reason() == "lost"


async def test_a_caller_that_loses_its_socket_too_has_all_of_the_grace(
    make_call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "HANG_UP_GRACE", 0.1)
    call, line = make_call(grace=60.0), Line()
    call.session.join(line, NATIVE)
    line.close_media()
    await call.stream.asked("flush")
    call.session.hold()
    await asyncio.sleep(0.2)  # not a guess: longer than the short grace
    assert call.session.state == "held"


async def test_a_call_that_came_back_has_all_of_the_grace_at_its_next_loss(
    make_call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "HANG_UP_GRACE", 0.1)
    call, first, second = make_call(grace=60.0), Line(), Line()
    call.session.join(first, NATIVE)
    first.close_media()
    await call.stream.asked("flush")
    assert call.session.state == "held"
    call.session.join(second, NATIVE)
    second.vanish()
    await second.closed.wait()
    grace = next(deadline for deadline in call.session._deadlines() if deadline.reason == "lost")
    assert grace.when - call.session._clock() > 50


async def test_a_second_transport_takes_over_and_closes_the_first(make_call: Any) -> None:
    call, first, second = make_call(), Line(), Line()
    call.session.join(first, NATIVE)
    await first.wait_for("ready")
    call.session.join(second, NATIVE)
    async with asyncio.timeout(2):
        await first.closed.wait()
    second.audio(0)
    await call.stream.heard(1_920)
    assert call.session.state == "live"


async def test_what_the_first_transport_still_brings_does_not_move_the_callers_time(make_call: Any) -> None:
    class Slow(Line):
        async def close(self, reason: str = "") -> None:
            self.closed.set()  # and its items go on

    call, first, second = make_call(), Slow(), Line()
    call.session.join(first, NATIVE)
    for index in range(25):
        first.audio(index)
    await call.stream.heard(25 * 1_920)
    call.session.join(second, NATIVE)
    first.audio(25)
    second.audio(0)
    await call.stream.heard(26 * 1_920)
    call.stream.outbox.put(Word("after", 25 * SECONDS))
    word = json.loads(await second.wait_for('"after"'))
    assert word["start"] == pytest.approx(25 * SECONDS, abs=0.001)


async def test_what_a_later_transport_missed_first_is_told_in_the_callers_time(
    make_call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, line, again = make_call(), Line(), Line()
    now = call.session._clock()
    monkeypatch.setattr(call.session, "_clock", lambda: now)
    call.session.join(line, NATIVE)
    line.audio(0)
    await call.stream.heard(1_920)
    now += 10.0
    call.session.join(again, NATIVE)
    again.miss(0.0, 1.0)
    hole, missed = [json.loads(await again.wait_for(text)) for text in ('"seq":1', '"seq":2')]
    assert (hole["start"], hole["stop"]) == (pytest.approx(SECONDS), pytest.approx(SECONDS + 9.0))
    assert (missed["start"], missed["stop"]) == (pytest.approx(SECONDS + 9.0), pytest.approx(SECONDS + 10.0))


async def test_words_keep_the_callers_time_over_a_loss_and_what_was_missed_is_told(
    make_call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, line = make_call(), Line()
    now = call.session._clock()
    monkeypatch.setattr(call.session, "_clock", lambda: now)
    call.session.join(line, NATIVE)
    line.audio(0)
    await call.stream.heard(1_920)
    line.vanish()
    await call.stream.asked("flush")
    now += 5.0
    again = Line()
    call.session.join(again, NATIVE)
    again.audio(0)
    await call.stream.heard(3_840)
    call.stream.outbox.put(Word("after", SECONDS))
    word = json.loads(await again.wait_for('"after"'))
    missed = json.loads(await again.wait_for('"missed"'))
    assert missed["start"] == pytest.approx(SECONDS)
    assert missed["stop"] == pytest.approx(SECONDS + 5.0, abs=0.1)
    assert word["start"] == pytest.approx(missed["stop"])


async def test_a_call_that_nobody_joins_ends(make_call: Any) -> None:
    assert await make_call(connect=0.05).reason() == "never_connected"


async def test_a_call_without_packets_ends_with_its_last_words(make_call: Any) -> None:
    call, line = make_call(idle=0.05), Line()
    call.session.join(line, NATIVE)
    await call.stream.asked("finish")
    call.stream.outbox.put(Word("last", 0.0))
    call.stream.outbox.end()
    assert await call.reason() == "idle"
    assert types(line)[-2:] == ["word", "ended"]


async def test_packets_keep_a_call_alive(make_call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    call, line = make_call(idle=30.0), Line()
    call.session.join(line, NATIVE)
    began = call.session._clock()
    monkeypatch.setattr(Line, "heard", began + 20.0)
    idle = next(deadline for deadline in call.session._deadlines() if deadline.reason == "idle")
    assert idle.when == began + 50.0


async def test_a_call_without_words_ends_however_much_it_sends(make_call: Any) -> None:
    call, line = make_call(speech=0.05), Line()
    call.session.join(line, NATIVE)
    line.audio(0)
    await call.stream.asked("finish")
    call.stream.outbox.put(Word("last", 0.0))
    call.stream.outbox.end()
    assert await call.reason() == "no_speech"
    assert types(line)[-2:] == ["word", "ended"]


@pytest.mark.parametrize(("event", "speaks"), [(Word("yes", 0.0), True), (Partial("y"), True), (Partial(""), False)])
async def test_settled_and_unsettled_words_keep_a_call_alive(
    make_call: Any, monkeypatch: pytest.MonkeyPatch, event: Word | Partial, speaks: bool
) -> None:
    call, line = make_call(speech=30.0), Line()
    now = began = call.session._clock()
    monkeypatch.setattr(call.session, "_clock", lambda: now)
    call.session.join(line, NATIVE)
    now += 20.0
    call.stream.outbox.put(event)
    call.stream.outbox.put(Mark(1))
    await line.wait_for('"mark"')
    silence = next(deadline for deadline in call.session._deadlines() if deadline.reason == "no_speech")
    assert silence.when == began + (50.0 if speaks else 30.0)


async def test_a_call_may_be_silent_unless_it_is_forbidden(make_call: Any) -> None:
    call = make_call()
    call.session.join(Line(), NATIVE)
    assert "no_speech" not in [deadline.reason for deadline in call.session._deadlines()]


async def test_a_words_latency_is_from_when_it_was_spoken(make_call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    call, line = make_call(), Line()
    now = call.session._clock()
    monkeypatch.setattr(call.session, "_clock", lambda: now)
    call.session.join(line, NATIVE)
    line.audio(0, spoken=now - 0.3 - SECONDS)  # 0.3 s on the way
    await call.stream.heard(1_920)
    now += 1.0
    call.stream.outbox.put(Word("far", 0.0))
    assert json.loads(await line.wait_for('"far"'))["latency"] == pytest.approx(1.3 + SECONDS, abs=0.001)


async def test_what_is_told_of_the_line_is_logged_and_counted(make_call: Any) -> None:
    class Counting(Line):
        figures: ClassVar[dict[str, float]] = {"received": 100, "lost": 5}

    call, line = make_call(), Counting()
    call.session.join(line, NATIVE)
    line.measure(Quality(0.05, 0.0, 0.0, 0.0, 0.1, jitter=0.01, round_trip=0.05, mos=3.9))
    quality = json.loads(await line.wait_for('"quality"'))
    assert (quality["loss"], quality["mos"], quality["round_trip"]) == (0.05, 3.9, 0.05)
    line.hang_up()
    assert await call.reason() == "bye"
    text = call.metrics.text().decode()
    assert 'offhook_packets_total{kind="lost"} 5.0' in text  # once, though it was counted twice
    assert "offhook_quality_mos_count 1.0" in text
    assert 'offhook_sessions_ended_total{reason="bye"} 1.0' in text


async def test_the_longest_call_is_announced_and_finished(make_call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "ANNOUNCED", 0.1)
    call, line = make_call(longest=0.2), Line()
    call.session.join(line, NATIVE)
    await call.stream.asked("finish")
    assert line.announced == [0.1]
    call.stream.outbox.end()
    assert await call.reason() == "max_session"


async def test_draining_announces_finishes_and_ends_even_when_the_engine_says_nothing(make_call: Any) -> None:
    call, line = make_call(drain=0.1), Line()
    call.session.join(line, NATIVE)
    await line.wait_for("ready")
    await call.session.drain()
    assert line.announced == [0.1]
    assert await call.reason() == "drain"


async def test_the_engines_death_is_told_at_once(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    await line.wait_for("ready")
    call.stream.die(Unavailable("the engine process died"))
    assert await call.reason() == "engine_down"
    assert json.loads(line.told[-1])["reason"] == "engine_down"


async def test_a_caller_who_does_not_read_cannot_keep_the_session(
    make_call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "TELL_LAST", 0.05)
    call, line = make_call(), Line()
    line.stuck = True
    call.session.join(line, NATIVE)
    assert call.session.state == "live"
    call.session.end("bye")
    assert await call.reason() == "bye"


async def test_a_caller_who_reads_too_slowly_is_let_go(make_call: Any) -> None:
    class Full(Line):
        async def send(self, message: Message) -> None:
            raise SlowReader("a megabyte waits")

    call = make_call()
    call.session.join(Full(), NATIVE)
    assert await call.reason() == "slow_reader"


async def test_a_fault_of_ours_ends_this_session_and_is_logged(
    make_call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Line):
        async def send(self, message: Message) -> None:
            raise ZeroDivisionError

    call = make_call()
    call.session.join(Broken(), NATIVE)
    assert await call.reason() == "internal"
    assert call.session.ref in caplog.text


@pytest.mark.parametrize(("error", "logged"), [(ZeroDivisionError(), 1), (Lost(), 0)])
async def test_a_fault_of_ours_among_the_last_words_is_logged_once_and_costs_none_of_them(
    make_call: Any, caplog: pytest.LogCaptureFixture, error: Exception, logged: int
) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    call.session.finish()
    line.fail(error)
    call.stream.outbox.put(Word("last", 0.0))
    await line.wait_for('"last"')
    call.stream.outbox.end()
    assert await call.reason() == "finished"
    assert types(line) == ["ready", "word", "ended"]
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error] * logged


async def test_ending_twice_keeps_the_first_reason(make_call: Any) -> None:
    call = make_call()
    call.session.end("bye")
    call.session.end("lost")
    assert await call.reason() == "bye"


async def test_after_the_end_nothing_joins(make_call: Any) -> None:
    call = make_call()
    call.session.end("bye")
    with pytest.raises(UnknownSession):
        call.session.join(Line(), NATIVE)


def test_every_state_can_end_and_the_end_is_final() -> None:
    states = {state for state, _ in TABLE} | set(TABLE.values())
    assert states == {"new", "live", "held", "draining", "ended"}
    assert all(TABLE[state, "end"] == "ended" for state in states - {"ended"})
    assert not any(state == "ended" for state, _ in TABLE)


def test_tickets_cannot_be_guessed() -> None:
    tickets = [Ticket.new() for _ in range(100)]
    assert len({ticket.id for ticket in tickets} | {ticket.token for ticket in tickets}) == 200
    assert min(len(ticket.id) for ticket in tickets) * 6 >= 128


class Strict(Native):
    """A language that tells of steps, answers everything but what it cannot read, and ends there."""

    steps = True
    strict = True

    def decode(self, message: Message) -> Sequence[Command]:
        return [*super().decode(message), Say("taken")]


async def test_a_message_is_answered_after_it_was_obeyed(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, Strict())
    line.say('{"type":"flush"}')
    assert await line.wait_for("taken") == "taken"
    assert call.stream.given == ["flush"]


async def test_a_strict_language_ends_at_what_it_cannot_read(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, Strict())
    line.say("what?")
    assert await call.reason() == "bad_message"
    await line.wait_for('"code":"bad_message"')
    assert line.reason == "bad_message"


class Gradual(Native):
    """A language whose messages turn out to be wrong only after something of them was obeyed."""

    def decode(self, message: Message) -> Iterator[Command]:  # type: ignore[override]  # Native promises a sequence
        yield from super().decode(message)
        raise BadMessage("It ends in the middle.")


async def test_a_message_is_obeyed_as_it_is_read(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, Gradual())
    line.say('{"type":"flush"}')
    await line.wait_for("It ends in the middle")
    assert call.stream.given == ["flush"]
    assert call.session.state == "live"


async def test_steps_are_told_where_the_language_has_a_word_for_them(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    call.stream.outbox.put(Step(0, (), 0.0))
    call.stream.outbox.put(Word("one", 0.0))
    await line.wait_for("one")
    assert call.session.log.seq == 1
    call.session.join(Line(), Strict())
    call.stream.outbox.put(Step(1, (), 0.0))
    call.stream.finish()
    call.stream.outbox.end()
    await call.reason()
    assert call.session.log.seq == 3


async def test_a_caller_who_cannot_come_back_is_not_waited_for(make_call: Any) -> None:
    call, line = make_call(), Line()
    call.session.join(line, NATIVE)
    line.fail(Gone())
    assert await call.reason() == "lost"
