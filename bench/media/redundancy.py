"""RED (RFC 2198) for a caller whose WebRTC stack has none: put into offers and packets, taken out of answers."""

import re
from collections.abc import Sequence

from media.red import Block
from tests.media.caller import OPUS
from tests.media.redundancy import wrap

RED = 63  # the payload type that Chrome gives it
PACKET = 960  # samples of the RTP clock


def with_red(offer: str) -> str:
    """The offer of a browser that can repeat each packet in the next one."""
    named = re.sub(rf"(?m)^(m=audio \S+ \S+ {OPUS})\b", rf"\1 {RED}", offer)
    lines = f"a=rtpmap:{RED} red/48000/2\r\na=fmtp:{RED} {OPUS}/{OPUS}\r\n"
    return re.sub(rf"(?m)^(a=rtpmap:{OPUS} .*\n)", lambda found: found[1] + lines, named)


def takes_red(answer: str) -> bool:
    """Whether the answer wants it."""
    return f"a=rtpmap:{RED} red/48000" in answer


def without_red(answer: str) -> str:
    """The answer as the caller's own stack can read it."""
    kept = re.sub(rf"(?m)^a=(rtpmap|fmtp):{RED} .*\n", "", answer)
    return re.sub(rf"(?m)^(m=audio .*?) {RED}\b", r"\1", kept)


def redundant(payloads: Sequence[bytes], index: int) -> bytes:
    """Packet `index` with the one before it."""
    blocks = [Block(OPUS, PACKET, payloads[index - 1])] if index else []
    return wrap([*blocks, Block(OPUS, 0, payloads[index])])
