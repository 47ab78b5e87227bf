"""Offers that ask for too much, or for packets to be sent where none must go (G13, G14)."""

import asyncio
import socket
import threading
from contextlib import ExitStack

import pytest

from media import compat
from media.errors import BadCandidate
from media.peer import Peer
from media.sdp import MOST_CANDIDATES
from tests.media.caller import new_peer
from tests.media.offers import CHROME, FFMPEG
from tests.signaling.house import House

SDP = {"Content-Type": "application/sdp"}
AUDIO = FFMPEG[FFMPEG.index("m=audio") :]


async def post(house: House, offer: str) -> tuple[int, str]:
    """The status of an offer at the door for publishers, and the code of its refusal."""
    async with house.http.post(f"{house.url}/whip", data=offer, headers=SDP) as response:
        refused = response.status >= 400
        return response.status, (await response.json())["code"] if refused else ""


# G13


@pytest.mark.parametrize(("sections", "status"), [(2, 422), (32, 422), (100, 422), (400, 413)])
async def test_many_sections_of_audio_are_refused_and_start_nothing(house: House, sections: int, status: int) -> None:
    threads = threading.active_count()
    assert (await post(house, FFMPEG + AUDIO * (sections - 1)))[0] == status
    assert threading.active_count() == threads
    assert house.switchboard.live == 0


async def test_five_thousand_candidates_are_too_long_an_offer(house: House) -> None:
    assert await post(house, FFMPEG + "".join(candidate(f"192.0.2.{n % 250}", n) for n in range(5_000))) == (
        413,
        "too_large",
    )


async def test_of_as_many_candidates_as_fit_32_are_used(house: House) -> None:
    peer = new_peer()
    await peer.answer(FFMPEG + "".join(candidate(f"192.0.2.{n % 250}", n) for n in range(1, 1_000)))
    assert len(checked(peer)) <= MOST_CANDIDATES
    await asyncio.wait_for(peer.close(), 2)


# G14

FORBIDDEN = (
    ("169.254.169.254", 80),  # what clouds call metadata
    ("100.100.100.200", 80),
    ("fd00:ec2::254", 80),
    ("::ffff:169.254.169.254", 80),
    ("255.255.255.255", 53),
    ("224.0.0.251", 5_353),
    ("ff02::fb", 5_353),
    ("0.0.0.0", 22),
    ("::", 22),
    ("fe80::1", 22),
    ("240.0.0.1", 22),
    ("192.0.2.9", 0),
    ("192.0.2.9", 99_999),
    ("localhost", 22),
    ("example.com", 443),
)


def candidate(address: str, port: int) -> str:
    return f"a=candidate:1 1 udp 2130706431 {address} {port} typ host\n"


def checked(peer: Peer) -> set[tuple[str, int]]:
    """Where ICE sends its checks."""
    assert peer._transceiver is not None
    connection = compat.ice_connection(peer._transceiver)
    known = {(remote.host, remote.port) for remote in connection._remote_candidates}
    return known | {pair.remote_addr for pair in connection._check_list}


async def answered(lines: list[str], *, trickled: bool) -> Peer:
    """A peer that was told of these candidates, in the offer or after it."""
    peer = new_peer()
    await peer.answer(FFMPEG + ("" if trickled else "".join(lines)))
    for line in lines if trickled else ():
        try:
            await peer.add_candidate({"candidate": line.strip().removeprefix("a="), "sdpMid": "0"})
        except BadCandidate:
            assert "99999" in line
    return peer


@pytest.mark.parametrize("trickled", [False, True], ids=["in the offer", "trickled"])
async def test_no_check_is_meant_for_a_forbidden_address(trickled: bool) -> None:
    allowed = ("192.0.2.250", 5_000)
    peer = await answered([candidate(*where) for where in (*FORBIDDEN, allowed)], trickled=trickled)
    assert checked(peer) == {allowed}
    await peer.close()


@pytest.mark.parametrize("trickled", [False, True], ids=["in the offer", "trickled"])
async def test_no_packet_comes_to_this_machine_itself(trickled: bool) -> None:
    """Checks go out, as the socket on a usable address shows; but none to the addresses of this machine alone."""
    own = (await addresses())[0]
    loop = asyncio.get_running_loop()
    with ExitStack() as opened:
        forbidden = [opened.enter_context(listening(address)) for address in ("127.0.0.1", "127.0.0.53")]
        usable = opened.enter_context(listening(own))
        lines = [candidate(*sock.getsockname()) for sock in (*forbidden, usable)]
        peer = await answered(lines, trickled=trickled)
        async with asyncio.timeout(10):
            await loop.sock_recv(usable, 2_048)
            await loop.sock_recv(usable, 2_048)  # sent again: whatever was to be sent elsewhere has been sent
        for sock in forbidden:
            with pytest.raises(BlockingIOError):
                sock.recv(2_048)
        await peer.close()


def listening(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    sock.setblocking(False)
    return sock


async def addresses() -> list[str]:
    """The IPv4 addresses that this machine's peers offer."""
    peer = new_peer()
    answer = await peer.answer(CHROME)
    await peer.close()
    found = [line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate")]
    return [address for address in found if ":" not in address]
