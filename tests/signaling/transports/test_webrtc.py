"""The browser's door, from a real socket and a real WebRTC caller on the other side."""

import asyncio
import json
import re
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aioice import stun
from aiortc import RTCPeerConnection

from engine.events import Word
from media import peer as media_peer
from media.voice import Voice
from signaling import session as session_module
from signaling import switchboard
from signaling.transports import webrtc
from tests.media.offers import CHROME
from tests.signaling.house import Browser, Footprint, House, OpenHouse, until

SILENT = CHROME.replace("a=candidate", "a=x-candidate")  # nobody is behind this offer
NOT_OFFERS = ["", "hello", "v=0\r\n", "<html></html>", "{}", "v=0\ud800"]


async def offer(browser: Browser, sdp: str) -> None:
    await browser.told("ready")
    await browser.send(type="offer", sdp=sdp)


async def ended(house: House, within: float = 5.0) -> None:
    await until(lambda: house.switchboard.live == 0 and house.engine.stats().live == 0, within)


# A call


async def test_words_come_in_their_order_and_the_last_ones_before_the_end(house: House) -> None:
    browser, voice = await house.call("alpha", "bravo", "charlie")
    await voice.said()
    voice.send(type="finish")
    assert (await voice.told("ended"))["reason"] == "finished"
    assert voice.words == ["alpha", "bravo", "charlie"]
    assert voice.seqs == sorted(set(voice.seqs))
    assert [event["type"] for event in (voice.all[0], voice.all[-1])] == ["ready", "ended"]
    starts = [word["start"] for word in voice.of("word")]
    assert starts == pytest.approx([0.0, 0.56, 1.12], abs=0.1)
    assert all(0.0 <= word["latency"] < 2.0 for word in voice.of("word"))
    assert browser.all[0]["session"] == voice.all[0]["session"]
    assert await browser.closed() == 1000
    await ended(house)


async def test_a_call_connects_by_trickled_candidates_alone(house: House) -> None:
    browser = await house.dial()
    await browser.told("ready")
    voice = browser.voice(["delta"])
    sdp = await voice.caller.offer()
    candidates = re.findall(r"a=(candidate:.*)\r\n", sdp)
    assert candidates
    bare = re.sub(r"a=(candidate|end-of-candidates).*\r\n", "", sdp)
    await browser.send(type="offer", sdp=bare)
    await browser.accept(voice)
    for candidate in candidates:
        await browser.send(type="candidate", candidate={"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0})
    await browser.send(type="candidate", candidate=None)
    await browser.told("candidate", candidate=None)
    await voice.told("word", text="delta")


class Stun(asyncio.DatagramProtocol):
    """A STUN server that sees every caller at the same public address."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str | Any, int]) -> None:
        request = stun.parse_message(data)
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = ("198.51.100.77", 40_000)
        self.transport.sendto(bytes(answer), address)


async def test_what_a_stun_server_tells_us_is_trickled_to_the_caller(open_house: OpenHouse) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Stun, local_addr=("0.0.0.0", 0))
    port = transport.get_extra_info("sockname")[1]
    house = await open_house(ice_servers=(f"stun:127.0.0.1:{port}",))
    browser = await house.dial()
    assert (await browser.told("ready"))["ice_servers"] == [{"urls": [f"stun:127.0.0.1:{port}"]}]
    await offer(browser, SILENT)
    answer = (await browser.told("answer"))["sdp"]
    await browser.told("candidate", candidate=None)
    told = [event["candidate"] for event in browser.of("candidate")]
    assert "198.51.100.77" not in answer  # which does not wait for it
    assert (
        ["198.51.100.77 40000" in candidate["candidate"] for candidate in told[:-1]] == [True] * (len(told) - 1) != []
    )
    assert all(candidate["sdpMid"] == "0" for candidate in told[:-1])
    transport.close()


async def test_what_is_asked_on_the_channel_is_done(house: House) -> None:
    _, voice = await house.call("echo")
    voice.send(type="mark", id=7)
    await voice.told("mark", id=7)
    voice.send(type="clear")
    voice.send(type="flush")
    voice.send(type="mark", id=8)
    await voice.told("mark", id=8)
    for garbage in ("{", "[]", "null", '{"type":"dance"}', '{"type":"mark","id":"x"}', "\x00"):
        voice.caller.send(garbage)
    await until(lambda: len(voice.of("error")) == 6)
    assert {error["code"] for error in voice.of("error")} == {"bad_message"}
    voice.send(type="mark", id=9)
    await voice.told("mark", id=9)


async def test_a_fault_of_ours_in_the_media_ends_the_call_with_a_reason(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    browser, voice = await house.call("alpha", "bravo", "charlie")
    await voice.told("word", text="alpha")
    monkeypatch.setattr(Voice, "decode", lambda *_: 1 / 0)
    await browser.told("error", code="internal")
    await ended(house)
    assert [record.getMessage().split("=")[0] for record in caplog.records if record.levelname == "ERROR"] == [
        "failed session"
    ]


async def test_two_calls_hear_no_word_of_each_other(house: House) -> None:
    (_, one), (_, two) = await asyncio.gather(house.call("alpha", "bravo"), house.call("yankee", "zulu"))
    await asyncio.gather(one.said(), two.said())
    one.send(type="finish")
    two.send(type="finish")
    await asyncio.gather(one.told("ended"), two.told("ended"))
    assert (one.words, two.words) == (["alpha", "bravo"], ["yankee", "zulu"])


@pytest.mark.parametrize("kind", ["restart", "offer"])
async def test_a_new_offer_goes_on_with_the_same_session(house: House, kind: str) -> None:
    browser, first = await house.call("alpha")
    await first.told("word", text="alpha")
    seen = first.seqs[-1]
    second = await browser.speak(["bravo"], kind=kind, seq=seen)
    await second.told("word", text="bravo")
    assert second.words == ["bravo"]
    assert second.all[0]["session"] == first.all[0]["session"]
    assert min(second.seqs) > seen
    assert house.switchboard.live == 1


async def test_a_call_on_hold_is_not_idle_and_goes_on_at_the_right_time(open_house: OpenHouse) -> None:
    house = await open_house(idle_timeout=0.4)
    browser, voice = await house.call("alpha", "bravo", "charlie")
    first = await voice.told("word", text="alpha")
    voice.speech.stop_for_now()
    said = voice.speech.position
    await browser.renegotiate(voice, "inactive")
    assert "a=inactive" in browser.of("answer")[-1]["sdp"]
    await voice.told("pause")  # the wall clock's silence ends what was said before
    await asyncio.sleep(1.5)  # more than idle, and than the sender's reports are apart
    assert voice.of("ended") == []
    await browser.renegotiate(voice, "sendonly")
    assert "a=recvonly" in browser.of("answer")[-1]["sdp"]
    voice.speech.go_on()
    last = await voice.told("word", text="charlie")
    assert last["start"] - first["start"] > said + 1.5
    assert len(voice.of("ready")) == 1  # on the same connection throughout


async def test_a_flood_of_new_offers_ends_the_call_that_it_came_in(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switchboard, "REJOINS", 3)
    house = await open_house()
    browser = await house.dial()
    await offer(browser, SILENT)
    for _ in range(4):
        await browser.send(type="restart", sdp=SILENT)
    error = await browser.told("error")
    assert (error["code"], len(browser.of("answer"))) == ("too_many_requests", 4)
    assert error["retry_after"] >= 1
    assert await browser.closed() == 1013
    await ended(house)


async def test_a_new_offer_that_cannot_be_answered_leaves_the_call_as_it_was(house: House) -> None:
    browser, voice = await house.call("alpha", "bravo")
    await browser.send(type="restart", sdp="nonsense")
    assert (await browser.told("error"))["code"] == "bad_offer"
    await voice.told("word", text="bravo")
    assert house.switchboard.live == 1


# Coming back


async def test_a_caller_that_says_it_will_come_back_is_waited_for(house: House) -> None:
    browser, first = await house.call("alpha")
    await first.told("word", text="alpha")
    await first.close()
    await browser.socket.close(code=webrtc.BACK_SOON)
    again = await house.dial()
    await again.told("ready")
    await again.send(type="resume", session=ticket(browser)[0], token=ticket(browser)[1], seq=first.seqs[-1])
    second = await again.speak(["bravo"])
    await second.told("word", text="bravo")
    assert second.all[0]["session"] == first.all[0]["session"]


async def test_a_lost_caller_comes_back_to_what_it_has_not_heard(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "RESUMED_HOLE", 0.01)
    browser, first = await house.call("alpha", "bravo")
    await first.told("word", text="alpha")
    seen = first.seqs[-1]
    browser.lose()
    await first.close()
    await until(lambda: house.switchboard.resume(*ticket(browser)).state == "held")
    again = await house.dial()
    await again.told("ready")
    await again.send(type="resume", session=ticket(browser)[0], token=ticket(browser)[1], seq=seen)
    await again.told("ready", session=ticket(browser)[0])
    second = await again.speak(["charlie"])
    await second.told("word", text="charlie")
    assert min(second.seqs) > seen
    assert second.seqs == sorted(set(second.seqs))
    assert "alpha" not in second.words
    missed = second.of("missed")[-1]
    assert 0 < missed["stop"] - missed["start"] < 5
    assert (await second.told("word", text="charlie"))["start"] >= missed["stop"] - 0.1


async def test_the_socket_that_was_left_behind_cannot_hold_or_end_the_resumed_call(house: House) -> None:
    browser, _ = await house.call("alpha")
    again = await house.dial()
    await again.told("ready")
    await again.send(type="resume", session=ticket(browser)[0], token=ticket(browser)[1], seq=0)
    voice = await again.speak(["bravo"])
    assert await browser.closed() == 1000
    await voice.told("word", text="bravo")
    assert house.switchboard.resume(*ticket(browser)).state == "live"


@pytest.mark.parametrize("wrong", ["session", "token", "surrogate"])
async def test_nobody_resumes_what_is_not_its_own(house: House, wrong: str) -> None:
    browser, voice = await house.call("alpha")
    session, token = ticket(browser)
    shown = {"session": session, "token": token} | {
        "session": {"session": "x" * 22},
        "token": {"token": "y" * 43},
        "surrogate": {"token": "\ud800"},
    }[wrong]
    thief = await house.dial()
    await thief.told("ready")
    await thief.send(type="resume", seq=0, **shown)
    assert (await thief.told("error"))["code"] == "unknown_session"
    assert await thief.closed() == 1008
    await voice.told("word", text="alpha")


async def test_a_caller_that_comes_back_too_late_finds_no_session(open_house: OpenHouse) -> None:
    house = await open_house(resume_grace=0.1)
    browser, voice = await house.call("alpha")
    browser.lose()
    assert (await voice.told("ended"))["reason"] == "lost"
    await ended(house)
    again = await house.dial()
    await again.told("ready")
    await again.send(type="resume", session=ticket(browser)[0], token=ticket(browser)[1], seq=0)
    assert (await again.told("error"))["code"] == "unknown_session"


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_close_frame_ends_the_call_at_once(house: House, code: int) -> None:
    browser, voice = await house.call("alpha")
    await browser.socket.close(code=code)
    assert (await voice.told("ended", within=1.0))["reason"] == "bye"
    await ended(house, within=2.0)


async def test_a_goodbye_ends_the_call_at_once(house: House) -> None:
    browser, _ = await house.call("alpha")
    await browser.send(type="bye")
    assert await browser.closed() == 1000
    await ended(house, within=2.0)


async def test_a_caller_who_hangs_up_to_call_anew_goes_on_with_the_same_session(house: House) -> None:
    browser, first = await house.call("alpha")
    await first.told("word", text="alpha")
    await first.close()
    await until(lambda: house.switchboard.resume(*ticket(browser)).state == "held")
    second = await browser.speak(["bravo"], kind="restart", seq=first.seqs[-1])
    await second.told("word", text="bravo")
    assert second.all[0]["session"] == first.all[0]["session"]


async def test_hanging_up_the_media_alone_ends_the_call_soon(house: House) -> None:
    browser, voice = await house.call("alpha")
    await voice.close()
    assert await browser.closed(within=session_module.HANG_UP_GRACE + 0.5) == 1000
    await ended(house, within=0.5)


# Refusals


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        ("{", "bad_message", 1008),
        ('{"type":"dance"}', "bad_message", 1008),
        ('{"type":["offer"]}', "bad_message", 1008),
        ('{"type":"offer"}', "bad_message", 1008),
        ('{"type":"resume","session":1,"token":2}', "bad_message", 1008),
        ('{"type":"candidate","candidate":null}', "out_of_order", 1008),
        ('{"type":"restart","sdp":"v=0"}', "out_of_order", 1008),
        (b"\x00\x01", "bad_message", 1008),
        ('"' + "x" * 140_000 + '"', "too_large", 1009),
        (json.dumps({"type": "offer", "sdp": "v=0\n" * 17_000}), "too_large", 1009),
        *((json.dumps({"type": "offer", "sdp": sdp}), "bad_offer", 1008) for sdp in NOT_OFFERS),
        (json.dumps({"type": "offer", "sdp": CHROME.replace("m=audio", "m=video")}), "bad_offer", 1008),
    ],
)
async def test_a_message_that_does_not_belong_is_answered_and_the_socket_closed(
    house: House, message: str | bytes, code: str, close: int
) -> None:
    browser = await house.dial()
    await browser.told("ready")
    await (browser.socket.send_str(message) if isinstance(message, str) else browser.socket.send_bytes(message))
    error = await browser.told("error")
    assert error["code"] == code
    assert error["message"]
    assert await browser.closed() == close
    assert house.switchboard.live == 0


async def test_a_frame_over_a_mebibyte_closes_the_socket(house: House) -> None:
    browser = await house.dial()
    await browser.told("ready")
    await browser.socket.send_str("x" * (1024 * 1024 + 1))
    assert await browser.closed() == 1009


async def test_a_message_out_of_order_ends_the_call_that_it_came_in(house: House) -> None:
    browser, voice = await house.call("alpha")
    await browser.send(type="resume", session="x", token="y", seq=0)
    assert (await browser.told("error"))["code"] == "out_of_order"
    assert await browser.closed() == 1008
    assert (await voice.told("ended"))["reason"] == "out_of_order"
    await ended(house)


async def test_a_bad_candidate_is_answered_and_the_call_goes_on(house: House) -> None:
    browser, voice = await house.call("alpha")
    for candidate in (
        "junk",
        "",
        "candidate:1 1 udp 1 999.999.999.999 1 typ host",
        "candidate:1 1 udp 1 ::1 99999999 typ",
    ):
        await browser.send(type="candidate", candidate={"candidate": candidate, "sdpMid": "0"})
    await browser.send(type="candidate", candidate={"candidate": 5})
    assert (await browser.told("error"))["code"] == "bad_candidate"
    await voice.told("word", text="alpha")


async def test_a_caller_who_says_nothing_is_let_go(open_house: OpenHouse) -> None:
    house = await open_house(connect_timeout=0.2)
    browser = await house.dial()
    assert (await browser.told("error"))["code"] == "never_connected"
    assert await browser.closed() == 1008


async def test_an_offer_that_never_connects_is_given_up_and_frees_everything(open_house: OpenHouse) -> None:
    house = await open_house(connect_timeout=0.4, resume_grace=60.0)
    before = Footprint()
    browser = await house.dial()
    await offer(browser, SILENT)
    await browser.told("answer")
    assert house.engine.stats().live == 1
    assert (await browser.told("error"))["code"] == "never_connected"
    assert await browser.closed() == 1008
    await ended(house)
    await browser.close()
    await until(lambda: Footprint().within(before, more=1))


async def test_fifty_abandoned_offers_leave_nothing_behind(open_house: OpenHouse) -> None:
    house = await open_house(connect_timeout=1.5, resume_grace=0.2, capacity=64)
    await house.health()
    before = Footprint()
    browsers = [await house.dial() for _ in range(50)]
    await asyncio.gather(*(offer(browser, SILENT) for browser in browsers))
    for browser in browsers:
        await browser.told("answer")
    for index, browser in enumerate(browsers):
        if index % 3 == 0:
            browser.lose()
        elif index % 3 == 1:
            await browser.close()
    await ended(house, within=10.0)
    for browser in browsers:
        await browser.close()
    await until(lambda: Footprint().within(before, more=2), within=5.0)
    assert (await house.health())["free"] == 64


async def test_a_full_house_says_so_before_any_media(open_house: OpenHouse) -> None:
    house = await open_house(capacity=1)
    await house.call("alpha")
    late = await house.dial()
    await offer(late, SILENT)
    error = await late.told("error")
    assert (error["code"], error["retry_after"]) == ("busy", 5)
    assert await late.closed() == 1013
    assert late.of("answer") == []
    assert (await house.health())["live"] == 1


async def test_a_server_that_is_ending_takes_no_call(house: House) -> None:
    await house.switchboard.drain()
    browser = await house.dial()
    await offer(browser, SILENT)
    assert (await browser.told("error"))["code"] == "draining"
    assert await browser.closed() == 1013


async def test_too_many_offers_from_one_address_are_refused(open_house: OpenHouse) -> None:
    house = await open_house(trusted_proxies=("127.0.0.1",), offers_per_minute=2, keys=(), sessions_per_address=0)
    headers = {"X-Forwarded-For": "192.0.2.7, 198.51.100.9"}
    for _ in range(2):
        browser = await house.dial(headers=headers)
        await offer(browser, SILENT)
        await browser.told("answer")
        await browser.send(type="bye")
    browser = await house.dial(headers=headers)
    await offer(browser, SILENT)
    error = await browser.told("error")
    assert error["code"] == "too_many_requests"
    assert 1 <= error["retry_after"] <= 60
    assert await browser.closed() == 1013
    other = await house.dial(headers={"X-Forwarded-For": "198.51.100.10"})
    await offer(other, SILENT)
    await other.told("answer")


async def test_too_many_calls_from_one_address_are_refused(open_house: OpenHouse) -> None:
    house = await open_house(trusted_proxies=("127.0.0.1",), sessions_per_address=2)
    browsers = [await house.dial(headers={"X-Forwarded-For": "198.51.100.9"}) for _ in range(3)]
    await asyncio.gather(*(offer(browser, SILENT) for browser in browsers))
    await until(lambda: sum(len(browser.of("answer")) + len(browser.of("error")) for browser in browsers) == 3)
    assert [error["code"] for browser in browsers for error in browser.of("error")] == ["too_many_requests"]


# Who may come in


KEY = "a-key-of-somebody"


async def test_without_a_key_there_is_no_socket(open_house: OpenHouse) -> None:
    house = await open_house(keys=(KEY,))
    for options in (
        {},
        {"headers": {"Authorization": "Bearer wrong-key"}},
        {"headers": {"Authorization": "Bearer \udcff"}},
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await house.dial(**options)
        assert refused.value.status == 401


async def test_a_key_or_a_token_opens_the_door(open_house: OpenHouse) -> None:
    house = await open_house(keys=(KEY,))
    async with house.http.post(f"{house.url}/v1/tokens", headers={"Authorization": f"Bearer {KEY}"}) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        token = (await response.json())["token"]
    for options in (
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"protocols": ("offhook", f"bearer.{KEY}")},
        {"protocols": ("offhook", f"bearer.{token}")},
    ):
        browser = await house.dial(**options)
        await browser.told("ready")
        assert browser.socket.protocol == "offhook"


async def test_pages_of_other_origins_are_let_in_by_name_only(open_house: OpenHouse) -> None:
    house = await open_house(origins=("https://good.example",))
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{house.port}.evil.example"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await house.dial(headers={"Origin": origin})
        assert refused.value.status == 403
    for origin in ("https://good.example", house.url):
        await (await house.dial(headers={"Origin": origin})).told("ready")


async def test_without_an_upgrade_the_answer_says_what_is_needed(house: House) -> None:
    async with house.http.get(f"{house.url}/v1/signal") as response:
        assert response.status == 426
        assert (await response.json())["code"] == "upgrade_required"


# Time


async def test_a_call_whose_packets_stop_ends_with_its_last_words(open_house: OpenHouse) -> None:
    house = await open_house(idle_timeout=0.6)
    _, voice = await house.call("alpha")
    assert (await voice.told("ended"))["reason"] == "idle"
    assert voice.words == ["alpha"]


async def test_the_longest_call_is_announced_and_ends_with_its_last_words(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "ANNOUNCED", 0.9)
    house = await open_house(max_session=1.5)
    browser, voice = await house.call(*["alpha"] * 5)
    assert (await browser.told("closing"))["in"] == 0.9
    assert (await voice.told("ended"))["reason"] == "max_session"
    assert voice.words[:2] == ["alpha", "alpha"]
    assert await browser.closed() == 1000


async def test_at_the_servers_end_callers_get_their_last_words(house: House) -> None:
    browser, voice = await house.call("alpha", "bravo", "charlie")
    await voice.told("partial", text="bravo")
    draining = asyncio.create_task(house.switchboard.drain())
    assert (await browser.told("closing"))["in"] == 20.0
    assert (await voice.told("ended"))["reason"] == "drain"
    assert voice.words == ["alpha", "bravo"]
    assert (await browser.told("error"))["code"] == "draining"
    assert await browser.closed() == 1013
    await asyncio.wait_for(draining, 5)


async def test_many_callers_get_their_last_words_and_abandoned_ones_hold_nobody_up(open_house: OpenHouse) -> None:
    house = await open_house(capacity=16, connect_timeout=60.0)
    calls = await asyncio.gather(*(house.call("alpha", "bravo", "charlie") for _ in range(6)))
    for _ in range(3):
        browser = await house.dial()
        await offer(browser, SILENT)
        await browser.told("answer")
    await asyncio.gather(*(voice.told("partial", text="bravo") for _, voice in calls))
    await asyncio.wait_for(house.switchboard.drain(), 5.0)
    assert [voice.words for _, voice in calls] == [["alpha", "bravo"]] * 6
    assert house.engine.stats().live == house.switchboard.live == 0


async def test_a_restart_while_the_call_is_ending_does_not_cost_its_last_words(house: House) -> None:
    browser, voice = await house.call("alpha", "bravo")
    await voice.told("partial", text="bravo")
    sdp = await browser.voice(["charlie"]).caller.offer()
    house.switchboard.resume(*ticket(browser)).finish("drain")
    await browser.send(type="restart", sdp=sdp)
    assert (await voice.told("ended"))["reason"] == "drain"
    assert voice.words == ["alpha", "bravo"]


async def test_a_peer_that_does_not_close_holds_nobody_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    close = RTCPeerConnection.close
    stuck = asyncio.Event()

    async def never(connection: RTCPeerConnection) -> None:
        await stuck.wait()
        await close(connection)

    browser, voice = await house.call("alpha")
    monkeypatch.setattr(media_peer, "CLOSE_TIMEOUT", 0.2)
    session = house.switchboard.resume(*ticket(browser))
    with monkeypatch.context() as patch:
        patch.setattr(RTCPeerConnection, "close", never)
        await browser.send(type="bye")
        await asyncio.wait_for(session.over.wait(), 2.0)
        await ended(house)
    stuck.set()
    await voice.close()


async def test_a_caller_who_takes_no_signaling_is_cut_off_and_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webrtc, "SEND_DEADLINE", 0.2)
    browser, _ = await house.call("alpha")

    async def full(self: object, data: str) -> None:
        await asyncio.Future()

    monkeypatch.setattr(web.WebSocketResponse, "send_str", full)
    await asyncio.wait_for(house.switchboard.drain(), 4.0)
    assert house.switchboard.live == 0
    assert await browser.closed() in (1006, 1013)


async def test_a_long_transcript_is_told_again_at_the_readers_pace(house: House) -> None:
    browser, first = await house.call("alpha")
    session = house.switchboard.resume(*ticket(browser))
    browser.lose()
    await first.close()
    await until(lambda: session.state == "held" and not session._carriers)
    for index in range(3_000):
        session.log.append(Word(f"{index:05}".rjust(400, "-"), 0.0))
    again = await house.dial()
    await again.told("ready")
    await again.send(type="resume", session=ticket(browser)[0], token=ticket(browser)[1], seq=0)
    second = await again.speak(["bravo"])
    await second.told("word", text="02999".rjust(400, "-"), within=30.0)
    assert second.seqs == sorted(set(second.seqs))
    assert len(second.of("word")) >= 3_000
    assert session.state == "live"


def ticket(browser: Browser) -> tuple[str, str]:
    """What the first greeting said: the session's id and its token."""
    return browser.all[0]["session"], browser.all[0]["resume_token"]
