"""A peer with a real client on the other side."""

import asyncio

import numpy as np

from media.frames import Frame
from tests.media.caller import FRAME, Caller, new_peer, opus_packets, tone


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
