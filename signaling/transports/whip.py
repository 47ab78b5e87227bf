"""WHIP (RFC 9725): one POST begins a call, PATCH adds candidates, DELETE ends it; the transcript is read by SSE."""

import secrets
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from media.errors import BadCandidate
from media.peer import Peer
from media.sdp import check_offer
from signaling import sdpfrag
from signaling.dialects.native import Native
from signaling.errors import UnknownSession
from signaling.http import PREFLIGHT, caller, read_text
from signaling.session import Session
from signaling.switchboard import Switchboard, Terms
from signaling.transports.peer import Peers, PeerTransport, begin

SDP_TYPE = "application/sdp"
EVENTS_REL = "urn:ietf:params:whip:ext:offhook:events"  # where the transcript is, in a Link header
NATIVE = Native()
TERMS = Terms(door="whip")


@dataclass(frozen=True, slots=True)
class Resource:
    """One WHIP session's URL: what PATCH and DELETE act on."""

    session: Session
    peer: Peer
    etag: str


class WhipDoor:
    """`/whip` and the resources under it. A resource is gone when its session has ended."""

    def __init__(self, switchboard: Switchboard, peers: Peers) -> None:
        self._switchboard = switchboard
        self._peers = peers
        self._resources: dict[str, Resource] = {}

    def routes(self) -> list[web.RouteDef]:
        """The door's routes."""
        return [
            web.options("/whip", self.options),
            web.get("/whip", self.nothing),
            web.post("/whip", self.post),
            web.options("/whip/{id}", self.options),
            web.get("/whip/{id}", self.look),
            web.patch("/whip/{id}", self.patch),
            web.delete("/whip/{id}", self.delete),
        ]

    async def options(self, request: web.Request) -> web.Response:
        """What may be sent here; browsers ask without credentials before they POST."""
        return web.Response(headers={**PREFLIGHT, "Accept-Post": SDP_TYPE, "Accept-Patch": sdpfrag.CONTENT_TYPE})

    async def nothing(self, request: web.Request) -> web.Response:
        """RFC 9725, section 4.1: GET and HEAD are reserved and carry no content."""
        return web.Response(status=204)

    async def post(self, request: web.Request) -> web.Response:
        """An offer in, an answer out, and a call begins."""
        who = caller(request)
        discard = request.query.get("video") == "discard"
        sdp = await read_text(request, SDP_TYPE)
        check_offer(sdp, video=discard)  # before a place is taken
        session = await self._switchboard.open(who, TERMS)
        peer = self._peers.new()
        answer = await begin(session, peer, sdp, PeerTransport(peer), NATIVE, video=discard)
        resource = Resource(session, peer, f'"{secrets.token_hex(8)}"')
        self._resources[session.id] = resource
        session.ended.add_done_callback(lambda _: self._resources.pop(session.id, None))
        return self._created(resource, answer)

    async def look(self, request: web.Request) -> web.Response:
        """RFC 9725, section 4.1: GET and HEAD on a session carry no content."""
        self._find(request)
        return web.Response(status=204)

    async def patch(self, request: web.Request) -> web.Response:
        """Trickled candidates (RFC 9725, section 4.3.1). An ICE restart is refused: the call goes on as it was."""
        resource = self._find(request)
        match request.headers.get("If-Match"):
            case None:
                raise web.HTTPPreconditionRequired(text="Send the ETag of the session as If-Match.")
            case "*" | '"*"':
                await read_text(request, sdpfrag.CONTENT_TYPE)
                raise web.HTTPUnprocessableEntity(text="ICE restarts are not supported: begin a new session.")
            case etag if etag != resource.etag:
                raise web.HTTPPreconditionFailed(text="The If-Match is not the ETag of this session.")
        fragment = sdpfrag.parse(await read_text(request, sdpfrag.CONTENT_TYPE))
        for mid, candidate in fragment.candidates:
            await self._add(resource.peer, {"candidate": candidate, "sdpMid": mid})
        if fragment.end:
            await resource.peer.add_candidate(None)
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        """End the call now."""
        self._find(request).session.end("bye")
        return web.Response()

    def _find(self, request: web.Request) -> Resource:
        caller(request)
        resource = self._resources.get(request.match_info["id"])
        if resource is None:
            raise UnknownSession("There is no session at this address, or it has ended.")
        return resource

    async def _add(self, peer: Peer, candidate: dict[str, Any]) -> None:
        try:
            await peer.add_candidate(candidate)
        except BadCandidate:
            return  # RFC 9725, section 4.3.1: a candidate that cannot be used is ignored

    def _created(self, resource: Resource, answer: str) -> web.Response:
        location = f"/whip/{resource.session.id}"
        response = web.Response(status=201, text=answer, content_type=SDP_TYPE)
        response.headers["Location"] = location
        response.headers["ETag"] = resource.etag
        response.headers.add("Link", f'<{location}/events>; rel="{EVENTS_REL}"; events="native"')
        for link in self._peers.ice_links(resource.session.id):
            response.headers.add("Link", link)
        return response
