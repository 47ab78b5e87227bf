"""ICE candidates as text: read, judge, write. Pure."""

import ipaddress
from dataclasses import dataclass

from media.errors import BadCandidate

LONGEST = 512  # characters; a real one has about 120
METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "fd00:ec2::254")))  # clouds' beside 169.254/16


@dataclass(frozen=True, slots=True)
class Candidate:
    """The fields of RFC 8839 section 5.1 that are used here."""

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    type: str

    def __str__(self) -> str:
        return (
            f"candidate:{self.foundation} {self.component} {self.transport} {self.priority} "
            f"{self.address} {self.port} typ {self.type}"
        )


def parse(text: str) -> Candidate:
    """Read `candidate:…`, with or without `a=` before it. Raises BadCandidate naming the fault."""
    if len(text) > LONGEST:
        raise BadCandidate(f"a candidate has at most {LONGEST} characters")
    fields = text.removeprefix("a=").removeprefix("candidate:").split()
    if len(fields) < 8 or fields[6] != "typ":
        raise BadCandidate("a candidate has eight fields or more, the seventh being 'typ'")
    foundation, component, transport, priority, address, port, _, kind = fields[:8]
    if not (foundation.isascii() and len(foundation) <= 32):
        raise BadCandidate("a candidate's foundation has at most 32 ASCII characters")
    return Candidate(
        foundation,
        _number(component, "component", 1, 256),
        transport.lower(),
        _number(priority, "priority", 0, 2**32 - 1),
        address,
        _number(port, "port", 0, 65_535),
        kind,
    )


def usable(candidate: Candidate, *, loopback: bool) -> bool:
    """Whether packets may be sent there. UDP to one host only, never to ourselves (unless `loopback`), to the link
    or to a cloud's metadata service; names, which browsers use to hide addresses, are not looked up."""
    if candidate.transport != "udp" or candidate.component != 1 or not candidate.port:
        return False
    if candidate.type not in ("host", "srflx", "relay"):
        return False
    try:
        address = ipaddress.ip_address(candidate.address)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return loopback
    return not (
        address.is_multicast
        or address.is_link_local
        or address.is_unspecified
        or address.is_reserved  # 240.0.0.0/4 with the broadcast address, and what IPv6 has not given out
        or address in METADATA
    )


def _number(text: str, name: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most):
        raise BadCandidate(f"a candidate's {name} is a number from {least} to {most}")
    return int(text)
