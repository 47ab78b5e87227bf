"""Peer connections and their ICE half: made, asked how they are, ended.

- `open_connection`: one peer connection on one transport, with no servers but ours. All of it is public API, and stays.
- `answer_codecs`: payload types and parameters as the offer has them; aiortc's table knows fewer. Until aiortc can be
  given its codecs.
- `ice_connection`: aioice's half, which all the rest asks. Until nothing here is left.
- `consent_expired`, `round_trip`, `refused`: how it is on the way. Until aioice says why it closed, times its checks
  and counts what it drops.
- `sever`: give back the sockets of a connection whose close does not return. Until it always does.
"""

from collections.abc import Iterable

from aioice import ice as aioice
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpTransceiver
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcrtpparameters import ParametersDict, RTCRtpCodecParameters

from media.codecs import Format
from media.compat.guard import GuardedProtocol
from media.ice import IceServer

OPUS_PARAMETERS: ParametersDict = {"minptime": 10, "useinbandfec": 1}  # RFC 7587 section 6.1: send us redundancy


def open_connection(servers: Iterable[IceServer]) -> tuple[RTCPeerConnection, RTCRtpTransceiver]:
    """A peer connection that receives one audio track, over one transport for everything. Never aiortc's default
    servers, which are somebody else's."""
    configuration = RTCConfiguration(
        iceServers=[
            RTCIceServer(list(server.urls), server.username or None, server.credential or None) for server in servers
        ],
        bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
    )
    connection = RTCPeerConnection(configuration)
    return connection, connection.addTransceiver("audio", direction="recvonly")


def ice_connection(transceiver: RTCRtpTransceiver) -> aioice.Connection:
    """aioice's half of the transport."""
    return transceiver.receiver.transport.transport._connection


def answer_codecs(transceiver: RTCRtpTransceiver, formats: Iterable[Format]) -> None:
    """Between the offer and the answer: answer with these formats, under the payload types of the offer."""
    transceiver._codecs = [
        RTCRtpCodecParameters(
            mimeType=f"audio/{format.name}",
            clockRate=format.clock_rate,
            channels=format.channels,
            payloadType=format.payload_type,
            parameters=_parameters(format),
        )
        for format in formats
    ]


def _parameters(format: Format) -> ParametersDict:
    if format.repeats is not None:
        return {f"{format.repeats}/{format.repeats}": None}  # RFC 2198 section 5: the packet, and the one before it
    if format.tells_digits:
        return {"0-15": None}  # RFC 4733 section 2.4.1: the sixteen keys
    return dict(OPUS_PARAMETERS) if format.name.lower() == "opus" else {}


def consent_expired(connection: aioice.Connection) -> bool:
    """Whether aioice closed by itself, as it does when its consent checks (RFC 7675) were not answered. True only
    until somebody else has closed it too, so ask when the end is first heard of."""
    return connection._closing


def round_trip(connection: aioice.Connection) -> float | None:
    """Seconds to the caller and back, by ICE's own checks; None while unknown."""
    pair = next(iter(connection._nominated.values()), None)
    if pair is None or not isinstance(pair.protocol, GuardedProtocol):
        return None
    return pair.protocol.round_trips.get(pair.remote_addr)


def refused(connection: aioice.Connection) -> int:
    """Datagrams that the guards of a connection's open sockets have kept out."""
    return sum(protocol.refused for protocol in connection._protocols if isinstance(protocol, GuardedProtocol))


def sever(connection: aioice.Connection) -> None:
    """Give the sockets back at once, without any goodbye."""
    for protocol in connection._protocols:
        protocol.transport.abort()
