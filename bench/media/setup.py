"""How long a caller waits: from handing over the offer to the first 80 ms of audio, one call after another."""

import numpy as np

from bench.media.generator import Script, play
from bench.media.network import without
from bench.media.ruler import ruler
from bench.media.speech import encode
from bench.media.trial import receiving

SPOKEN = 0.6  # seconds by each caller, from the moment that it is connected
FIRST = 1  # calls that warm the receiver up


async def measure(name: str, calls: int) -> dict[str, float]:
    """Milliseconds: the median and the worst of `calls`."""
    payloads = list(encode(ruler(SPOKEN), application="audio"))
    script = Script(payloads, without(len(payloads), ()))
    async with receiving(name) as receiver:
        for _ in range(FIRST + calls):
            await play(await receiver.connect(1, keep=False), [script])
        heard = (await receiver.finish()).calls[FIRST:]
    waits = [(call.times[0] - call.offered) * 1e3 for call in heard]
    return {"p50": round(float(np.median(waits)), 1), "worst": round(max(waits), 1)}
