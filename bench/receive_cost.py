"""What receiving a call costs: CPU per second of audio and session, and how long audio waits before its frame is out.

    python -m bench.receive_cost [--sessions 8] [--seconds 10]

The callers run in a process of their own, so the CPU is the receiver's alone. The same is measured for stock aiortc
(its tracks read and resampled to the same frames), as the figure to compare with. Latency is from a packet's sending
to the frame that its last sample completes, within one machine.
"""

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from media.frames import Frame
from media.peer import Peer, PeerSettings
from tests.media.caller import FRAME, RATE, Caller, opus_packets, rtp, tone

PACKET = 0.02
PACKETS_A_FRAME = 4

Answer = Callable[[str, list[float]], Awaitable[tuple[str, Callable[[], Awaitable[None]]]]]


async def call(pipe: Connection, sessions: int, seconds: float) -> None:
    """The callers: all of them send one packet each 20 ms, and tell when each was sent."""
    callers = [Caller() for _ in range(sessions)]
    for caller in callers:
        await asyncio.to_thread(pipe.send, await caller.offer())
        await caller.accept(await asyncio.to_thread(pipe.recv))
    for caller in callers:
        await caller.connected()
    await asyncio.to_thread(pipe.recv)
    voice = opus_packets(tone(seconds))
    began = time.monotonic()
    sent = []
    for index, payload in enumerate(voice):
        await asyncio.sleep(max(0.0, began + index * PACKET - time.monotonic()))
        sent.append(time.monotonic())
        for caller in callers:
            await caller.send(rtp(index, index * 960, payload))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(pipe.send, sent)
    await asyncio.to_thread(pipe.recv)
    for caller in callers:
        await caller.connection.close()


async def answer_as_peer(offer: str, out: list[float]) -> tuple[str, Callable[[], Awaitable[None]]]:
    peer = Peer(PeerSettings(), rate=RATE, frame_samples=FRAME)
    answer = await peer.answer(offer)

    async def read() -> None:
        async for item in peer.frames():
            if isinstance(item, Frame):
                out.append(time.monotonic())

    reading = asyncio.create_task(read())

    async def close() -> None:
        await peer.close()
        await reading

    return answer, close


async def answer_as_stock(offer: str, out: list[float]) -> tuple[str, Callable[[], Awaitable[None]]]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tasks = []

    async def read(track: MediaStreamTrack) -> None:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE, frame_size=FRAME)
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            for resampled in resampler.resample(frame):
                resampled.to_ndarray()
                out.append(time.monotonic())

    connection.on("track", lambda track: tasks.append(asyncio.ensure_future(read(track))))
    await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await connection.setLocalDescription(await connection.createAnswer())

    async def close() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await connection.close()

    return connection.localDescription.sdp, close


async def receive(pipe: Connection, answer: Answer, sessions: int, seconds: float) -> tuple[float, list[float]]:
    """CPU milliseconds per session-second, and the latencies in milliseconds."""
    frames: list[list[float]] = [[] for _ in range(sessions)]
    closes = []
    for out in frames:
        text, close = await answer(await asyncio.to_thread(pipe.recv), out)
        closes.append(close)
        await asyncio.to_thread(pipe.send, text)
    await asyncio.sleep(1.0)
    before = time.process_time()
    await asyncio.to_thread(pipe.send, "go")
    sent: list[float] = await asyncio.to_thread(pipe.recv)
    cpu = (time.process_time() - before) * 1e3 / sessions / seconds
    for close in closes:
        await close()
    await asyncio.to_thread(pipe.send, "done")
    return cpu, [latency for out in frames for latency in _latencies(sent, out)]


def _latencies(sent: list[float], out: list[float]) -> list[float]:
    complete = sent[PACKETS_A_FRAME - 1 :: PACKETS_A_FRAME]
    return [(came - went) * 1e3 for went, came in zip(complete, out, strict=False)]


def _call(pipe: Connection, sessions: int, seconds: float) -> None:
    asyncio.run(call(pipe, sessions, seconds))


def measure(name: str, answer: Answer, sessions: int, seconds: float) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_call, args=(theirs, sessions, seconds))
    process.start()
    cpu, latencies = asyncio.run(receive(ours, answer, sessions, seconds))
    process.join()
    p50, p95 = np.percentile(latencies, [50, 95])
    print(f"{name:12s} {cpu:5.2f} ms CPU per session-second, added latency p50 {p50:6.1f} ms, p95 {p95:6.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description="What receiving a call costs.")
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    measure("offhook", answer_as_peer, options.sessions, options.seconds)
    measure("stock aiortc", answer_as_stock, options.sessions, options.seconds)


if __name__ == "__main__":
    main()
