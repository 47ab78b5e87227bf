"""Offers judged and written anew, answers completed."""

import random
import re
import time

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import BadOffer, NotSdp, OfferTooLarge, UnsupportedOffer
from media.sdp import LONGEST_OFFER, MOST_CANDIDATES, MOST_FORMATS, check_offer
from tests.media.caller import new_peer
from tests.media.mutation import mutated
from tests.media.offers import ALL, CHROME, FFMPEG, FINGERPRINT, FIREFOX, GSTREAMER, VIDEO


def without(offer: str, *starts: str) -> str:
    return "".join(line for line in offer.splitlines(keepends=True) if not line.startswith(starts))


def media_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("m=")]


@pytest.mark.parametrize("offer", ALL)
def test_real_offers_are_read_and_written_plainly(offer: str) -> None:
    for newline in ("\n", "\r\n"):
        plain = check_offer(offer.replace("\n", newline)).plain()
        parsed = SessionDescription.parse(plain)
        assert parsed.media[0].kind == "audio"
        assert parsed.media[0].dtls is not None
        assert len(parsed.media) == 1 + offer.count("m=application")


def test_the_codecs_that_are_known_keep_their_order_and_numbers_behind_redundancy() -> None:
    assert [(f.payload_type, f.name) for f in check_offer(CHROME).formats] == [
        (63, "red"),
        (111, "opus"),
        (9, "G722"),
        (0, "PCMU"),
        (8, "PCMA"),
        (13, "CN"),
        (110, "telephone-event"),
        (126, "telephone-event"),
    ]
    assert [(f.payload_type, f.name) for f in check_offer(GSTREAMER).formats] == [(0, "PCMU"), (97, "OPUS")]


def test_names_and_the_end_of_candidates_are_left_out() -> None:
    plain = check_offer(CHROME).plain()
    assert ".local" not in plain
    assert "end-of-candidates" not in plain
    assert plain.count("a=candidate:") == 1


def test_whoever_may_choose_begins_the_handshake() -> None:
    assert "a=setup:active" in check_offer(CHROME).plain()
    assert "a=setup:active" in check_offer(without(CHROME, "a=setup")).plain()
    assert "a=setup:passive" in check_offer(FFMPEG).plain()


def test_what_one_section_lacks_another_or_the_session_has() -> None:
    offer = check_offer(FIREFOX)
    assert (offer.ufrag, offer.audio, offer.data, offer.mid) == ("1f2e3d4c", 1, 0, "1")
    assert offer.fingerprints == (("sha-256", FINGERPRINT),)


def test_at_most_32_candidates_are_kept_and_each_once() -> None:
    lines = "".join(f"a=candidate:1 1 udp 1 192.0.2.{n % 200} 5000 typ host\n" for n in range(400))
    assert len(check_offer(FFMPEG + lines).candidates) == MOST_CANDIDATES


REFUSED = {
    "empty": ("", NotSdp, "not_sdp"),
    "blank": (" \r\n", NotSdp, "not_sdp"),
    "one byte": ("v", NotSdp, "not_sdp"),
    "json": ('{"sdp": ""}', NotSdp, "not_sdp"),
    "html": ("<html></html>", NotSdp, "not_sdp"),
    "no media": ("v=0\r\ns=-\r\n", NotSdp, "not_sdp"),
    "unreadable media": ("v=0\r\nm=audio\r\n", NotSdp, "not_sdp"),
    "strange mid": (CHROME.replace("a=mid:0", "a=mid:a b").replace("BUNDLE 0", "BUNDLE a b"), NotSdp, "not_sdp"),
    "too long": (CHROME + "a=x:" + "y" * LONGEST_OFFER, OfferTooLarge, "offer_too_large"),
    "too many sections": (CHROME + VIDEO * 40, UnsupportedOffer, "too_many_sections"),
    "video only": ("v=0\n" + VIDEO, UnsupportedOffer, "no_audio"),
    "data only": ("v=0\n" + CHROME[CHROME.index("m=application") :], UnsupportedOffer, "no_audio"),
    "refused audio": (FFMPEG.replace("m=audio 9", "m=audio 0"), UnsupportedOffer, "no_audio"),
    "two audio": (FFMPEG + FFMPEG[FFMPEG.index("m=audio") :], UnsupportedOffer, "too_many_audio_sections"),
    "two data": (CHROME + CHROME[CHROME.index("m=app") :], UnsupportedOffer, "too_many_application_sections"),
    "receiving only": (CHROME.replace("a=sendrecv", "a=recvonly"), UnsupportedOffer, "audio_not_sent"),
    "inactive": (FFMPEG.replace("a=sendonly", "a=inactive"), UnsupportedOffer, "audio_not_sent"),
    "inactive session": (
        without(FFMPEG, "a=sendonly").replace("t=0 0", "a=inactive"),
        UnsupportedOffer,
        "audio_not_sent",
    ),
    "no fingerprint": (without(CHROME, "a=fingerprint"), UnsupportedOffer, "no_fingerprint"),
    "weak fingerprint": (
        without(FFMPEG, "a=fingerprint") + f"a=fingerprint:sha-1 {FINGERPRINT[:59]}\n",
        UnsupportedOffer,
        "no_fingerprint",
    ),
    "short fingerprint": (CHROME.replace(FINGERPRINT, FINGERPRINT[:-3]), UnsupportedOffer, "no_fingerprint"),
    "no ice": (without(CHROME, "a=ice-ufrag"), UnsupportedOffer, "no_ice"),
    "short password": (FFMPEG.replace("abcdef", ""), UnsupportedOffer, "no_ice"),
    "strange ufrag": (FFMPEG.replace("ufrag:9174", "ufrag:9 74"), UnsupportedOffer, "no_ice"),
    "no codec": (FFMPEG.replace("opus/48000", "speex/16000"), UnsupportedOffer, "no_known_codec"),
    "wrong payload type": (FFMPEG.replace("111", "72"), UnsupportedOffer, "no_known_codec"),
    "no mux": (without(CHROME, "a=rtcp-mux"), UnsupportedOffer, "no_rtcp_mux"),
    "plain rtp": (FFMPEG.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), UnsupportedOffer, "not_encrypted"),
    "odd setup": (FFMPEG.replace("setup:passive", "setup:holdconn"), UnsupportedOffer, "bad_setup"),
    "no bundle": (without(CHROME, "a=group"), UnsupportedOffer, "not_bundled"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_answered_is_refused_with_a_sentence(name: str) -> None:
    offer, kind, code = REFUSED[name]
    with pytest.raises(BadOffer) as refusal:
        check_offer(offer)
    assert (type(refusal.value), refusal.value.code) == (kind, code)
    assert len(str(refusal.value)) > 10


def test_video_is_refused_where_partial_answers_are_forbidden() -> None:
    with pytest.raises(UnsupportedOffer) as refusal:
        check_offer(FFMPEG + VIDEO, video=False)
    assert refusal.value.code == "video_offered"
    check_offer(FFMPEG + VIDEO.replace("m=video 9", "m=video 0"), video=False)


@pytest.mark.parametrize("direction", ["inactive", "recvonly"])
def test_only_an_offer_within_a_call_may_be_on_hold(direction: str) -> None:
    held = CHROME.replace("a=sendrecv", f"a={direction}")
    assert check_offer(held, hold=True).on_hold
    assert not check_offer(CHROME, hold=True).on_hold
    with pytest.raises(UnsupportedOffer, match="not sent"):
        check_offer(held)


@pytest.mark.parametrize(
    ("was", "now"), [("ufrag:Vk2f", "ufrag:Vk2g"), ("pwd:AbCd", "pwd:AbCe"), (FINGERPRINT, ":".join(["7B"] * 32))]
)
def test_other_credentials_are_another_connection(was: str, now: str) -> None:
    assert check_offer(CHROME.replace("a=sendrecv", "a=sendonly")).continues(check_offer(CHROME))
    assert not check_offer(CHROME.replace(was, now)).continues(check_offer(CHROME))


CHANGED = {
    "another codec": (CHROME.replace("RTP/SAVPF 111 63 9 0 8", "RTP/SAVPF 111 63 9 0"), "changed_codecs"),
    "another meaning": (CHROME.replace("a=rtpmap:9 G722", "a=rtpmap:9 PCMA"), "changed_codecs"),
    "no redundancy": (CHROME.replace("a=fmtp:63 111/111", "a=fmtp:63 9/9"), "changed_codecs"),
    "no data": (CHROME[: CHROME.index("m=application")], "changed_sections"),
    "another name": (CHROME.replace("mid:0", "mid:a").replace("BUNDLE 0", "BUNDLE a"), "changed_sections"),
    "another place": (CHROME.replace("m=audio", VIDEO + "m=audio"), "changed_sections"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_an_offer_within_a_call_that_changes_more_than_its_direction_is_refused(name: str) -> None:
    offer, code = CHANGED[name]
    with pytest.raises(UnsupportedOffer) as refusal:
        check_offer(offer).check_change(check_offer(CHROME))
    assert refusal.value.code == (code)


def test_the_codecs_of_an_offer_within_a_call_may_come_in_another_order() -> None:
    check_offer(CHROME.replace("111 63 9 0 8", "0 63 111 8 9")).check_change(check_offer(CHROME))


async def test_an_answer_has_a_section_for_each_of_the_offer() -> None:
    peer = new_peer()
    answer = await peer.answer(VIDEO.join(("v=0\na=group:BUNDLE v 0 1\n", CHROME[CHROME.index("m=audio") :])))
    await peer.close()
    assert [line.split()[:2] for line in media_lines(answer)] == [
        ["m=video", "0"],
        ["m=audio", "9"],
        ["m=application", "9"],
    ]
    assert "a=group:BUNDLE 0 1\r\n" in answer
    assert "a=mid:v\r\n" in answer
    assert "a=recvonly" in answer
    assert "a=setup:passive" in answer
    assert "a=fmtp:111 minptime=10;useinbandfec=1\r\n" in answer
    assert "a=max-message-size:16384\r\n" in answer
    assert "a=ssrc" not in answer


async def test_an_answer_without_bundle_or_mid_has_none_either() -> None:
    peer = new_peer()
    answer = await peer.answer(without(GSTREAMER, "a=mid"))
    await peer.close()
    assert "BUNDLE" not in answer
    assert "a=mid" not in answer
    assert media_lines(answer) == ["m=audio 9 UDP/TLS/RTP/SAVPF 0 97"]


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_is_an_offer_or_refused(text: str) -> None:
    for offer in (text, "v=0\n" + text, CHROME + text, text.join(CHROME.splitlines(keepends=True)[:12])):
        try:
            SessionDescription.parse(check_offer(offer).plain())
        except BadOffer:
            continue


def test_mutated_offers_are_answered_or_refused_in_time() -> None:
    slowest = 0.0
    accepted = 0
    for seed in range(4_000):
        began = time.perf_counter()
        try:
            SessionDescription.parse(check_offer(mutated(random.Random(seed))).plain())
            accepted += 1
        except BadOffer:
            pass
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 0.5
    assert accepted > 400  # enough of them still reach aiortc


async def test_mutated_offers_pass_aiortc_too() -> None:
    answered = 0
    for seed in range(150):
        peer = new_peer()
        try:
            answer = await peer.answer(mutated(random.Random(seed)))
            SessionDescription.parse(answer)
            answered += 1
        except BadOffer:
            pass
        await peer.close()
    assert answered > 15


async def test_redundancy_is_answered_first_where_it_is_offered() -> None:
    peer = new_peer()
    try:
        answer = await peer.answer(CHROME)
    finally:
        await peer.close()
    assert re.search(r"m=audio 9 UDP/TLS/RTP/SAVPF 63 111 9 0 8 13 110 126\r\n", answer)
    for line in ("a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "a=fmtp:111 minptime=10;useinbandfec=1"):
        assert f"{line}\r\n" in answer
    for line in ("a=rtpmap:13 CN/8000", "a=rtpmap:110 telephone-event/48000", "a=fmtp:110 0-15", "a=fmtp:126 0-15"):
        assert f"{line}\r\n" in answer


@pytest.mark.parametrize(
    ("told", "changed"),
    [
        ("a=fmtp:63 111/111", "a=fmtp:63 9/9"),
        ("a=fmtp:63 111/111", "a=fmtp:63 111/9"),
        ("a=fmtp:63 111/111\n", ""),
        ("a=rtpmap:63 red/48000/2", "a=rtpmap:63 red/8000"),
    ],
)
def test_redundancy_of_anything_but_opus_is_not_taken(told: str, changed: str) -> None:
    formats = check_offer(CHROME.replace(told, changed)).formats
    assert [format.payload_type for format in formats] == [111, 9, 0, 8, 13, 110, 126]


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ("111 110 126", [111, 110, 126]),
        ("126 110 111", [111, 126, 110]),  # what is audio comes first: some send what stands there
        ("13 111", [111]),  # Opus is silent by its own means
        ("13 8 110", [8, 13]),  # 48 kHz is no clock of G.711
        ("9 13 126", [9, 13, 126]),
    ],
)
def test_digits_and_noise_are_taken_beside_a_codec_of_their_clock(offered: str, taken: list[int]) -> None:
    offer = CHROME.replace("111 63 9 0 8 13 110 126", offered)
    assert [format.payload_type for format in check_offer(offer).formats] == taken
    assert "telephone-event" not in check_offer(offer).plain()


def test_an_offer_of_digits_alone_is_no_offer_of_audio() -> None:
    with pytest.raises(UnsupportedOffer):
        check_offer(CHROME.replace("111 63 9 0 8 13 110 126", "13 110 126"))


def test_of_a_hundred_names_for_one_codec_sixteen_are_taken() -> None:
    numbers = [number for number in range(128) if not 64 <= number <= 95]
    lines = "".join(f"a=rtpmap:{number} opus/48000/2\n" for number in numbers)
    offer = FFMPEG.replace("SAVPF 111", f"SAVPF {' '.join(map(str, numbers))}") + lines
    assert len(check_offer(offer).formats) == MOST_FORMATS
