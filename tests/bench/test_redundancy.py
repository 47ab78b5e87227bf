from bench.media.redundancy import RED, redundant, takes_red, with_red, without_red
from media import red
from media.sdp import check_offer
from tests.media.caller import OPUS, SETTINGS, Caller, new_peer


async def test_an_answer_to_the_offer_takes_red_and_is_readable_without_it() -> None:
    async with Caller() as caller:
        offer = with_red(await caller.offer())
        assert [format.name for format in check_offer(offer, video=True, loopback=False).formats][:1] == ["red"]
        peer = new_peer(SETTINGS)
        try:
            answer = await peer.answer(offer)
        finally:
            await peer.close()
        assert takes_red(answer)
        plain = without_red(answer)
        assert not takes_red(plain)
        assert str(RED) not in next(line for line in plain.splitlines() if line.startswith("m=audio")).split()[3:]
        await caller.accept(plain)


def test_each_packet_holds_the_one_before_it() -> None:
    blocks = red.parse(redundant([b"one", b"two"], 1))
    assert [(block.payload_type, block.offset, block.payload) for block in blocks] == [
        (OPUS, 960, b"one"),
        (OPUS, 0, b"two"),
    ]


def test_the_first_packet_holds_itself_alone() -> None:
    assert [block.payload for block in red.parse(redundant([b"one"], 0))] == [b"one"]
