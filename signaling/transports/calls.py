"""OpenAI's calls: one POST begins a call, whose events are on the data channel `oai-events`; another one hangs up.

The offer comes as the body itself, in a form beside the session's settings, or in JSON beside them: browsers, OpenAI's
guide and its clients have each had their own way.
"""

import contextlib
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from email.parser import Parser

from aiohttp import web

from engine.base import SAMPLE_RATE
from media.peer import Peer
from media.sdp import check_offer
from signaling import realtime
from signaling.commands import Audio
from signaling.dialects.native import loads
from signaling.dialects.openai import Realtime
from signaling.errors import BadMessage, UnknownSession
from signaling.http import BODY_LIMIT, caller, read_text
from signaling.openai_errors import BadParameter
from signaling.session import Session
from signaling.switchboard import Switchboard, Terms
from signaling.transports.base import Item
from signaling.transports.peer import Peers, PeerTransport, begin
from signaling.transports.websocket import SESSION_HEADER

PATH = f"{realtime.ENDPOINT}/calls"
CHANNEL = "oai-events"
SDP_TYPE, FORM_TYPE, JSON_TYPE = "application/sdp", "multipart/form-data", "application/json"
FORM_LIMIT = 2 * BODY_LIMIT  # bytes: an SDP, and the settings of a session
NESTED = re.compile(
    r"^content-type:\s*multipart/", re.IGNORECASE | re.MULTILINE
)  # takes long to read, and is in no form
TERMS = Terms(door="calls")


@dataclass(frozen=True, slots=True)
class Asked:
    """What begins a call: an offer, and what it says of the session; None where it says nothing."""

    sdp: str
    session: object = None


class CallTransport(PeerTransport):
    """A peer whose audio the language is told of, since no message brings it."""

    def __init__(self, peer: Peer, language: Realtime) -> None:
        super().__init__(peer)
        self._language = language

    async def items(self) -> AsyncGenerator[Item, None]:
        async with contextlib.aclosing(super().items()) as items:
            async for item in items:
                if isinstance(item, Audio):
                    self._language.hear(item.start + len(item.pcm) / SAMPLE_RATE)
                yield item


class CallsDoor:
    """`/v1/realtime/calls`, and `/v1/realtime` as the beta had it. A call is gone when its session has ended."""

    def __init__(self, switchboard: Switchboard, peers: Peers) -> None:
        self._switchboard = switchboard
        self._peers = peers
        self._calls: dict[str, Session] = {}

    def routes(self) -> list[web.RouteDef]:
        """The door's routes."""
        return [
            web.post(PATH, self.post),
            web.post(realtime.ENDPOINT, self.post),
            web.post(PATH + "/{id}/hangup", self.hang_up),
        ]

    async def post(self, request: web.Request) -> web.Response:
        """An offer in, an answer out, and a call begins."""
        who = caller(request)
        asked = await read_call(request)
        language = realtime.language(request, realtime.opening(request, asked.session), by_track=True)
        check_offer(asked.sdp)  # before a place is taken
        session = await self._switchboard.open(who, TERMS)
        peer = self._peers.new(CHANNEL)
        answer = await begin(session, peer, asked.sdp, CallTransport(peer, language), language)
        id = f"rtc_{session.id}"
        self._calls[id] = session
        session.ended.add_done_callback(lambda _: self._calls.pop(id, None))
        headers = {"Location": f"{PATH}/{id}", SESSION_HEADER: session.id}
        return web.Response(status=201, text=answer, content_type=SDP_TYPE, headers=headers)

    async def hang_up(self, request: web.Request) -> web.Response:
        """End the call now."""
        caller(request)
        session = self._calls.get(request.match_info["id"])
        if session is None:
            raise UnknownSession("There is no call with this id, or it has ended.")
        session.end("bye")
        return web.Response()


async def read_call(request: web.Request) -> Asked:
    """What a request asks for. Raises TooLarge or BadMessage, and answers 415 to a type that is none of the three."""
    match request.content_type:
        case "application/sdp":
            return Asked(await read_text(request, SDP_TYPE))
        case "application/json":
            return _parts(loads(await read_text(request, JSON_TYPE, FORM_LIMIT), FORM_LIMIT))
        case "multipart/form-data":
            form = form_fields(request.headers["Content-Type"], await read_text(request, FORM_TYPE, FORM_LIMIT))
            session = {"session": loads(form["session"], FORM_LIMIT)} if "session" in form else {}
            return _parts({**form, **session})
    raise web.HTTPUnsupportedMediaType(text=f"Send the offer as {SDP_TYPE}, {FORM_TYPE} or {JSON_TYPE}.")


def form_fields(content_type: str, body: str) -> dict[str, str]:
    """The fields of a form (RFC 7578, whose parts have no parts). Raises BadMessage."""
    if NESTED.search(body):
        raise BadMessage("The form has a form in it: send its fields one behind the other.")
    try:
        form = Parser().parsestr(f"Content-Type: {content_type}\r\n\r\n{body}")
        parts = [part for part in form.walk() if not part.is_multipart()]
        fields = [(part.get_param("name", header="content-disposition"), part.get_payload()) for part in parts]
    except ValueError:
        raise BadMessage("The form cannot be read.") from None
    return {name: text for name, text in fields if isinstance(name, str) and isinstance(text, str)}


def _parts(fields: Mapping[str, object]) -> Asked:
    sdp = fields.get("sdp")
    if not isinstance(sdp, str):
        raise BadParameter("Missing required parameter: 'sdp'.", "sdp", "missing_required_parameter")
    return Asked(sdp, fields.get("session"))
