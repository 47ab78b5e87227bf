"""A peer with a real client on the other side."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import psutil
import pytest

from media import compat
from media.errors import BadCandidate, BadOffer, NeverConnected
from media.events import Missed, Quality
from media.frames import Frame
from media.peer import Peer
from tests.media.caller import FRAME, SETTINGS, Caller, new_peer, opus_packets, rtp, tone
from tests.media.offers import CHROME, FFMPEG


async def test_a_caller_is_heard_and_answered() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        await caller.play(opus_packets(tone(1.0)), pace=0.001)
        await peer.finish()
        frames = [item async for item in peer.frames() if isinstance(item, Frame)]
        assert [frame.start for frame in frames] == [index * 0.08 for index in range(13)]
        assert all(frame.pcm.shape == (FRAME,) and frame.pcm.dtype == np.float32 for frame in frames)
        assert all(0.15 < frame.pcm.std() < 0.2 for frame in frames[:-1])

        peer.send('{"type":"ready"}')
        assert await caller.messages.get() == '{"type":"ready"}'
        caller.channel.send("hello")
        assert await anext(peer.messages()) == "hello"
        await asyncio.wait_for(peer.drained(), 2)
        assert peer.waiting == 0
    assert await asyncio.wait_for(peer.lost(), 2) == "hung_up"
    await peer.close()
    assert not peer.abandoned


async def test_nothing_is_left_of_a_hundred_offers() -> None:
    process = psutil.Process()
    settings = replace(SETTINGS, connect_timeout=0.3)
    async with Caller() as caller:
        offer = await caller.offer()
        await new_peer().close()
        before = process.num_fds(), threading.active_count()
        tasks = len(asyncio.all_tasks())
        peers = [new_peer(settings) for _ in range(100)]
        for peer in peers:
            await peer.answer(offer)
        for peer in peers[:10]:
            await peer.close()
        assert {await asyncio.wait_for(peer.lost(), 5) for peer in peers[10:]} == {"never_connected"}
        for peer in peers:
            await peer.close()
        await asyncio.sleep(0.05)  # aioice's loops look every 20 ms whether they are over
        assert (process.num_fds(), threading.active_count()) == before
        assert len(asyncio.all_tasks()) == tasks
        assert not any(peer.abandoned for peer in peers)


async def test_an_offer_that_never_connects_ends() -> None:
    peer = new_peer(replace(SETTINGS, connect_timeout=0.1))
    async with Caller() as caller:
        await peer.answer(await caller.offer())
        with pytest.raises(NeverConnected):
            await asyncio.wait_for(peer.connected(), 3)
    assert await peer.lost() == "never_connected"
    assert [item async for item in peer.frames()] == []


async def test_a_refused_offer_leaves_nothing_to_close() -> None:
    peer = new_peer()
    with pytest.raises(BadOffer):
        await peer.answer("v=0")
    await peer.close()
    assert await peer.lost() == "closed"


async def test_candidates_may_come_later() -> None:
    peer = new_peer()
    async with Caller() as caller:
        offer = await caller.offer()
        lines = [line for line in offer.splitlines() if line.startswith("a=candidate")]
        bare = "".join(line + "\r\n" for line in offer.splitlines() if "candidate" not in line)
        await caller.accept(await peer.answer(bare))
        assert [candidate async for candidate in peer.candidates()] == [None]
        await peer.add_candidate({"candidate": "", "sdpMid": "0"})
        for line in lines:
            await peer.add_candidate({"candidate": line.removeprefix("a="), "sdpMid": "0", "sdpMLineIndex": 0})
        await peer.add_candidate(None)
        await asyncio.wait_for(peer.connected(), 3)
    await peer.close()
    await peer.add_candidate({"candidate": lines[0]})  # too late, and harmless


async def test_a_caller_that_hides_its_addresses_is_found_by_its_own_checks() -> None:
    peer = new_peer()
    async with Caller() as caller:
        offer = re.sub(
            r"(a=candidate:\S+ 1 udp \d+) \S+", r"\1 0b1a2c3d-1111-4222-8333-444455556666.local", await caller.offer()
        )
        assert ".local" in offer
        assert "a=end-of-candidates" in offer
        await caller.accept(await peer.answer(offer))
        await asyncio.wait_for(peer.connected(), 3)
        await peer.close()


@pytest.mark.parametrize("candidate", [{}, {"candidate": 7}, {"candidate": "candidate:x"}])
async def test_a_candidate_that_cannot_be_read_is_bad(candidate: dict[str, object]) -> None:
    peer = new_peer()
    await peer.answer(FFMPEG)
    with pytest.raises(BadCandidate):
        await peer.add_candidate(candidate)
    await peer.close()


@pytest.mark.parametrize(("offer", "has_channel"), [(FFMPEG, False), (CHROME, True)])
async def test_a_peer_knows_whether_the_caller_can_be_told_anything(offer: str, has_channel: bool) -> None:
    peer = new_peer()
    await peer.answer(offer)
    assert peer.has_channel == has_channel
    await peer.close()


async def test_a_candidate_before_an_offer_is_bad() -> None:
    peer = new_peer()
    with pytest.raises(BadCandidate):
        await peer.add_candidate({"candidate": "candidate:1 1 udp 1 192.0.2.1 5000 typ host"})
    await peer.close()


async def test_candidates_of_no_use_are_ignored_and_the_others_counted() -> None:
    peer = new_peer()
    await peer.answer(FFMPEG)
    remote = compat.ice_connection(peer._transceiver)._remote_candidates if peer._transceiver else []
    for text in ("1 1 udp 1 x.local 5000 typ host", "1 1 udp 1 169.254.169.254 80 typ host"):
        await peer.add_candidate({"candidate": f"candidate:{text}"})
    old = {"candidate": "candidate:1 1 udp 1 192.0.2.1 5000 typ host", "usernameFragment": "another"}
    await peer.add_candidate(old)
    assert remote == []
    for port in range(1, 100):
        await peer.add_candidate({"candidate": f"candidate:1 1 udp 1 192.0.2.1 {port} typ host"})
    assert len(remote) == 32
    await peer.close()


async def test_a_caller_whose_consent_expires_is_lost_and_its_audio_is_read() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        await caller.play(opus_packets(tone(0.1)))
        caller.channel.send("that was all")
        await anext(peer.messages())
        assert peer._transceiver is not None
        await compat.ice_connection(peer._transceiver).close()  # as aioice does after six checks without an answer
        assert await asyncio.wait_for(peer.lost(), 2) == "lost"
        assert len([item async for item in peer.frames()]) == 2
        assert [message async for message in peer.messages()] == []
        await peer.close()


async def test_a_caller_that_vanishes_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.02)
    monkeypatch.setattr("aioice.ice.CONSENT_FAILURES", 2)
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        compat.sever(compat.ice_connection(caller.connection.getTransceivers()[0]))
        assert await asyncio.wait_for(peer.lost(), 5) == "lost"
        await peer.close()


async def test_a_close_that_does_not_return_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.peer.CLOSE_TIMEOUT", 0.05)
    process = psutil.Process()
    before = process.num_fds()
    peer = new_peer()
    await peer.answer(FFMPEG)
    assert peer._transceiver is not None
    monkeypatch.setattr(peer._transceiver, "stop", asyncio.Event().wait)
    await asyncio.wait_for(peer.close(), 1)
    assert peer.abandoned
    await asyncio.sleep(0)
    assert process.num_fds() == before


async def test_a_caller_that_went_on_hold_is_heard_after_it() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        voice = opus_packets(tone(0.4))
        await caller.play(voice[:10], pace=0.005)
        await asyncio.sleep(0.5)
        heard = peer.heard
        for index in range(10, 20):  # the sender's clock went on meanwhile
            await caller.send(rtp(index, (index + 25) * 960, voice[index]))
        await peer.finish()
        frames = [item async for item in peer.frames() if isinstance(item, Frame)]
        assert peer.heard > heard
        assert frames[-1].start == pytest.approx(0.9 - 0.08, abs=0.1)
        await peer.close()


async def test_hold_and_resume_change_the_answers_words_and_nothing_else() -> None:
    peer = new_peer()
    first = await peer.answer(CHROME)
    held = peer.reoffer(CHROME.replace("a=sendrecv", "a=inactive"))
    resumed = peer.reoffer(CHROME)
    assert held is not None
    assert resumed is not None
    assert held == revised(first, 1).replace("a=recvonly\r\n", "a=inactive\r\n")
    assert resumed == revised(first, 2)
    await peer.close()
    assert peer.reoffer(CHROME) is None


def revised(answer: str, more: int) -> str:
    """The same answer, with the version that it has so many answers later."""
    return re.sub(r"(?<=^o=- \d{10} )\d+", lambda version: str(int(version[0]) + more), answer, flags=re.MULTILINE)


async def test_an_offer_of_another_connection_is_not_answered_by_this_peer() -> None:
    peer = new_peer()
    assert peer.reoffer(CHROME) is None
    await peer.answer(CHROME)
    assert peer.reoffer(CHROME.replace("ufrag:Vk2f", "ufrag:Vk2g")) is None
    await peer.close()


@pytest.mark.parametrize("offer", ["nonsense", CHROME[: CHROME.index("m=application")]])
async def test_an_offer_within_the_call_that_is_refused_leaves_it_as_it_was(offer: str) -> None:
    peer = new_peer()
    first = await peer.answer(CHROME)
    with pytest.raises(BadOffer):
        peer.reoffer(offer)
    assert peer.reoffer(CHROME) == revised(first, 1)
    await peer.close()


async def test_a_caller_on_hold_is_not_idle_and_is_heard_again_at_its_own_time() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        voice = opus_packets(tone(0.4))
        await caller.play(voice[:10], pace=0.005)
        await renegotiate(caller, peer, "inactive")
        heard = peer.heard
        await asyncio.sleep(0.6)
        assert peer.heard - heard > 0.5  # though nothing came
        await renegotiate(caller, peer, "sendonly")
        assert caller.connection.getTransceivers()[0].currentDirection == "sendonly"
        await asyncio.sleep(0.05)
        heard = peer.heard
        assert peer.heard == heard  # it is the last packet's time again, and no longer now
        for index in range(10, 20):  # a sender whose clock stood still meanwhile
            await caller.send(rtp(index, index * 960, voice[index]))
        await peer.finish()
        frames = [item async for item in peer.frames() if isinstance(item, Frame)]
        assert frames[-1].start == pytest.approx(0.2 + 0.6 + 0.05 + 0.2 - 0.08, abs=0.2)
        loud = [frame.start for frame in frames if frame.pcm.std() > 0.1]
        assert loud[-1] - loud[0] > 0.6
        await peer.close()


async def renegotiate(caller: Caller, peer: Peer, direction: str) -> None:
    """Offer the same connection again with this direction, and take the answer."""
    caller.connection.getTransceivers()[0].direction = direction
    answer = peer.reoffer(await caller.offer())
    assert answer is not None
    await caller.accept(answer)


async def test_packets_out_of_order_are_put_in_order() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        voice = opus_packets(tone(0.8))
        order = [0, *(index ^ 1 for index in range(2, 40))]
        for index in order:
            await caller.send(rtp(index, index * 960, voice[index]))
        await peer.finish()
        assert (peer.stats.received, peer.stats.lost, peer.stats.late) == (39, 1, 0)
        await peer.close()


async def test_the_line_is_measured_while_packets_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.peer.QUALITY_EVERY", 0.1)
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        voice = opus_packets(tone(1.0))
        for index in (0, 1, 2, 3, 4, 6, 7, 8, 9, 10):
            await caller.send(rtp(index, index * 960, voice[index]))
            await asyncio.sleep(0.02)
        async with asyncio.timeout(3):
            measured = [item async for item in until_silence(peer)]
        assert measured
        assert all(1.0 <= quality.mos <= 4.5 and quality.jitter < 0.1 for quality in measured)
        assert all(quality.round_trip is not None for quality in measured)
        assert sum(quality.concealed for quality in measured) == pytest.approx(0.02)
        assert any(0 < quality.loss < 1 for quality in measured)
        assert [quality.repaired for quality in measured] == [0.0] * len(measured)
        await peer.close()
    assert peer._measuring is not None
    assert peer._measuring.cancelled()


async def until_silence(peer: Peer) -> AsyncIterator[Quality]:
    """What is told of the line until half a second of audio was made up, which takes several measurements."""
    async for item in peer.frames():
        if isinstance(item, Quality):
            yield item
        elif peer.stats.silent_seconds > 0.5:
            return


async def test_who_was_kept_out_is_still_known_after_the_end() -> None:
    peer = new_peer()
    assert peer.refused == 0
    async with Caller() as caller:
        await caller.call(peer)
        for protocol in compat.ice_connection(peer._transceiver)._protocols if peer._transceiver else []:
            protocol.datagram_received(b"", ("192.0.2.1", 1))
        kept_out = peer.refused
        await peer.close()
    assert kept_out >= 1
    assert peer.refused == kept_out


async def test_an_unread_call_keeps_two_seconds() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        await caller.play(opus_packets(tone(4.0)))
        await peer.finish()
        items = [item async for item in peer.frames()]
        assert isinstance(items[0], Missed)
        assert (items[0].start, items[0].stop) == pytest.approx((0.0, 2.0))
        assert len(items) == 26
        await peer.close()
