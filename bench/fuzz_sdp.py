"""Throw mutated offers at the SDP path and report what was neither answered nor refused.

    python -m bench.fuzz_sdp 200000 [--through-peer 20] [--first-seed 0]

Every offer is read, judged, written anew and parsed by aiortc; every 20th that is accepted also goes through
`Peer.answer`, sockets and all. A crash prints its seed, which `tests.media.mutation.mutated` turns into the offer.
"""

import argparse
import asyncio
import logging
import random
import time
import traceback
from collections import Counter

from aiortc.sdp import SessionDescription

from media.errors import BadOffer
from media.ice import Sockets
from media.peer import Peer, PeerSettings
from media.sdp import check_offer
from tests.media.mutation import mutated

SETTINGS = PeerSettings(sockets=Sockets(addresses=("127.0.0.1",)))


async def judge(offer: str, *, through_peer: bool) -> str:
    """'answered' or the refusal's code."""
    try:
        SessionDescription.parse(check_offer(offer).plain())
    except BadOffer as refusal:
        return refusal.code
    if through_peer:
        peer = Peer(SETTINGS, rate=24_000, frame_samples=1_920)
        SessionDescription.parse(await peer.answer(offer))
        await peer.close()
    return "answered"


async def fuzz(count: int, first_seed: int, every: int) -> bool:
    outcomes: Counter[str] = Counter()
    times: list[float] = []
    for seed in range(first_seed, first_seed + count):
        offer = mutated(random.Random(seed))
        began = time.perf_counter()
        try:
            outcome = await judge(offer, through_peer=seed % every == 0)
        except Exception:  # whatever it is, it is what this script looks for
            traceback.print_exc()
            print(f"crash: seed {seed}")
            outcome = "CRASHED"
        times.append(time.perf_counter() - began)
        outcomes[outcome] += 1
    times.sort()
    for outcome, times_seen in outcomes.most_common():
        print(f"{times_seen:8d}  {outcome}")
    print(f"p50 {times[len(times) // 2] * 1e3:.2f} ms, p99 {times[len(times) * 99 // 100] * 1e3:.2f} ms, ", end="")
    print(f"slowest {times[-1] * 1e3:.1f} ms")
    return outcomes["CRASHED"] == 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Throw mutated offers at the SDP path.")
    parser.add_argument("count", type=int, nargs="?", default=200_000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--through-peer", type=int, default=20, help="every how many-th offer opens a real peer")
    options = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    raise SystemExit(not asyncio.run(fuzz(options.count, options.first_seed, options.through_peer)))


if __name__ == "__main__":
    main()
