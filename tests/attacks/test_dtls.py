"""What protects a call: DTLS of today, a certificate that the offer has named, and nothing but SRTP."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from OpenSSL import SSL

from media.errors import NeverConnected
from media.peer import Peer
from tests.media.caller import SETTINGS, Caller, new_peer, opus_packets, rtp, tone

DTLS_1_0, DTLS_1_2 = 0xFEFF, 0xFEFD
IMPATIENT = replace(SETTINGS, connect_timeout=1.5)
Bend = Callable[[SSL.Context], None]


def tls(peer: Peer) -> SSL.Connection:
    """The server's side of DTLS."""
    assert peer._transceiver is not None
    connection = peer._transceiver.receiver.transport._ssl
    assert connection is not None
    return connection


def bend_handshake(caller: Caller, bend: Bend) -> None:
    """Change what the caller offers in its handshake."""
    (certificate,) = vars(caller.connection)["_RTCPeerConnection__certificates"]
    make = certificate._create_ssl_context

    def bent(srtp_profiles: Any) -> SSL.Context:
        context: SSL.Context = make(srtp_profiles=srtp_profiles)
        bend(context)
        return context

    certificate._create_ssl_context = bent


async def is_refused(peer: Peer, caller: Caller, offer: str) -> None:
    await caller.accept(await peer.answer(offer))
    with pytest.raises(NeverConnected):
        await asyncio.wait_for(peer.connected(), 5)


async def test_the_handshake_is_of_today() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        assert tls(peer).get_protocol_version_name() in ("DTLSv1.2", "DTLSv1.3")
        assert re.search("GCM|CHACHA20", tls(peer).get_cipher_name() or "")
        assert b"GCM" in tls(peer).get_selected_srtp_profile()
        await peer.close()


async def test_every_cipher_has_forward_secrecy_and_none_is_null() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        for cipher in tls(peer).get_cipher_list():
            assert re.match("ECDHE-ECDSA-|TLS_", cipher), cipher
            assert not re.search("NULL|RC4|DES|MD5|EXP|anon", cipher), cipher
        await peer.close()


def only_dtls_1_0(context: SSL.Context) -> None:
    context.set_min_proto_version(DTLS_1_0)
    context.set_max_proto_version(DTLS_1_0)
    context.set_cipher_list(b"ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0")


def only_dtls_1_2(context: SSL.Context) -> None:
    context.set_max_proto_version(DTLS_1_2)


def no_encryption(context: SSL.Context) -> None:
    only_dtls_1_2(context)
    context.set_cipher_list(b"ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0")


def an_unknown_cipher(context: SSL.Context) -> None:
    only_dtls_1_2(context)
    context.set_cipher_list(b"ECDHE-ECDSA-AES256-SHA384")


async def test_the_version_that_browsers_speak_is_taken() -> None:
    peer = new_peer()
    async with Caller() as caller:
        bend_handshake(caller, only_dtls_1_2)
        await caller.call(peer)
        assert tls(peer).get_protocol_version_name() == "DTLSv1.2"
        await peer.close()


@pytest.mark.parametrize("bend", [only_dtls_1_0, no_encryption, an_unknown_cipher], ids=lambda bend: bend.__name__)
async def test_a_weaker_handshake_is_refused(bend: Bend) -> None:
    peer = new_peer(IMPATIENT)
    async with Caller() as caller:
        bend_handshake(caller, bend)
        await is_refused(peer, caller, await caller.offer())


async def test_another_certificate_than_the_offers_is_refused() -> None:
    peer = new_peer(IMPATIENT)
    async with Caller() as caller:
        offer = re.sub(r"(a=fingerprint:\S+ )..", r"\g<1>00", await caller.offer())
        await is_refused(peer, caller, offer)


async def test_without_a_profile_of_srtp_that_is_agreed_on_there_is_no_call() -> None:
    peer = new_peer(IMPATIENT)
    async with Caller() as caller:
        bend_handshake(caller, lambda context: context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_32"))
        await is_refused(peer, caller, await caller.offer())


async def test_audio_in_the_clear_is_not_heard() -> None:
    peer = new_peer()
    async with Caller() as caller:
        await caller.call(peer)
        voice = opus_packets(tone(0.4))
        transport: Any = caller.connection.getTransceivers()[0].sender.transport
        for index, payload in enumerate(voice):
            await transport.transport._send(rtp(index, index * 960, payload))
        await caller.play(voice[:1])
        caller.channel.send("all has come")
        await asyncio.wait_for(anext(peer.messages()), 3)
        assert peer.stats.received == 1
        await peer.close()
