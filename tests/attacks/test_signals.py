"""What a caller should not do to its signaling socket."""

import asyncio
from collections import Counter

import pytest

from signaling.negotiation import Action, Negotiation
from tests.attacks.line import Line
from tests.signaling.house import House

CANDIDATE = {"candidate": "candidate:1 1 udp 1 192.0.2.7 5000 typ host", "sdpMid": "0"}


async def test_who_floods_the_socket_takes_turns_with_everybody_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = 0
    messages: Counter[int] = Counter()  # by the turn of the event loop in which they were obeyed
    receive = Negotiation.receive

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def counted(negotiation: Negotiation, message: str | bytes) -> Action:
        messages[turn] += 1
        return receive(negotiation, message)

    async with Line.open(house) as line:
        monkeypatch.setattr(Negotiation, "receive", counted)
        counting = asyncio.create_task(count_turns())
        for _ in range(2_000):
            await line.browser.send(type="candidate", candidate=CANDIDATE)
        await line.still_serves()
        counting.cancel()
        assert messages.total() == 2_000
        assert max(messages.values()) <= 2
