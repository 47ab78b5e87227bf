"""Offers read, judged and written anew; answers completed. Pure text work.

The caller's offer never reaches aiortc. It is read here into the few facts that matter, and a plain offer is written
from them: whatever an offer holds, it becomes a typed refusal or a session description that aiortc understands.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from media import candidates
from media.candidates import Candidate
from media.codecs import Format
from media.errors import BadCandidate, NotSdp, OfferTooLarge, UnsupportedOffer

LONGEST_OFFER = 65_536  # bytes
MOST_SECTIONS = 32
MOST_CANDIDATES = 32
LONGEST_MESSAGE = 16_384  # bytes that a message on a data channel may have

MOST_FORMATS = 16  # of one kind; each that is spoken has a decoder of its own

STATIC_FORMATS = {  # RFC 3551 section 6
    0: ("PCMU", 8_000),
    8: ("PCMA", 8_000),
    9: ("G722", 8_000),
    13: ("CN", 8_000),
}
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}

_MEDIA_LINE = re.compile(r"m=([a-z]{1,32}) ([0-9]{1,5})(?:/[0-9]{1,5})? ([A-Z/]{1,32}) ([\x21-\x7e ]{1,512})")
_RTPMAP = re.compile(r"([0-9]{1,3}) ([A-Za-z0-9._-]{1,32})/([0-9]{1,6})(?:/([0-9]))?")
_FORMAT = re.compile(r"[0-9]{1,2}|1[01][0-9]|12[0-7]|webrtc-datachannel")
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]+")
_TOKEN = re.compile(r"[\x21-\x7e]{1,64}")
_FINGERPRINT = re.compile(r"([A-Za-z0-9-]{1,16}) ([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15,63})")


@dataclass(frozen=True, slots=True)
class Section:
    """One `m=` section of the offer, or its beginning (the session part, with `kind` empty)."""

    kind: str = ""
    port: int = 0
    profile: str = ""
    formats: tuple[str, ...] = ()
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def values(self, name: str) -> list[str]:
        """Every value of an attribute, in order; a flag has the value ''."""
        return self.attributes.get(name, [])

    def first(self, name: str) -> str | None:
        """The first value of an attribute."""
        return next(iter(self.values(name)), None)

    def has(self, name: str) -> bool:
        return name in self.attributes

    @property
    def mid(self) -> str:
        """The section's identification, or ''."""
        return self.first("mid") or ""

    @property
    def live(self) -> bool:
        """Whether the section is offered: port 0 refuses it (RFC 3264), unless it only means its place in a bundle."""
        return self.port != 0 or self.has("bundle-only")

    @property
    def carries_channels(self) -> bool:
        """Whether it is a section for WebRTC data channels (RFC 8841)."""
        return self.profile in ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP") and "webrtc-datachannel" in self.formats


@dataclass(frozen=True, slots=True)
class Offer:
    """What an offer asks for, as far as it is served."""

    sections: tuple[Section, ...]
    audio: int  # its place among the sections
    data: int | None
    formats: tuple[Format, ...]  # those we know, in the caller's order
    ufrag: str
    password: str
    ice_lite: bool
    fingerprints: tuple[tuple[str, str], ...]
    active: bool  # the caller is to begin the DTLS handshake, so that our answer is passive
    candidates: tuple[Candidate, ...]
    bundled: bool  # the offer has a BUNDLE group that holds the audio, and so has the answer
    on_hold: bool = False  # the audio is not sent for now

    def continues(self, earlier: "Offer") -> bool:
        """Whether this is of the connection that the earlier offer began: its ICE and DTLS are the same."""
        return (self.ufrag, self.password, self.fingerprints) == (earlier.ufrag, earlier.password, earlier.fingerprints)

    def check_change(self, earlier: "Offer") -> None:
        """Raises UnsupportedOffer if this changes more than the direction of the earlier offer's audio."""
        if self._places != earlier._places:
            raise UnsupportedOffer("changed_sections", "an offer within a call must keep its audio and data sections")
        if set(self.formats) != set(earlier.formats):
            raise UnsupportedOffer("changed_codecs", "an offer within a call must keep the codecs of the first one")

    @property
    def mid(self) -> str:
        """The identification of the audio section, to which every candidate belongs."""
        return self.sections[self.audio].mid or "0"

    def plain(self) -> str:
        """The same offer as aiortc is to read it: one audio section, maybe one of data, nothing else."""
        mids = [self.mid] + ([self._data_mid] if self.data is not None else [])
        lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}"]
        if self.ice_lite:
            lines.append("a=ice-lite")
        lines += self._audio_lines()
        if self.data is not None:
            lines += self._data_lines()
        return "\r\n".join(lines) + "\r\n"

    def complete(self, answer: str, candidates: list[str], *, gathered: bool, revision: int = 0) -> str:
        """aiortc's answer with `candidates` (`candidate:…`) as its own, one section for each that was offered, and
        the rejected ones with port 0 (RFC 3264 section 6). `gathered` says that no more candidates will come;
        `revision` counts the answers that went before on the same connection."""
        session, *answered = _split(answer)
        told = [f"a={text}" for text in candidates] + (["a=end-of-candidates"] if gathered else [])
        audio = _amended(answered[0], told)
        if self.on_hold:
            audio = ["a=inactive" if line == "a=recvonly" else line for line in audio]
        data = _amended(answered[1], told) if len(answered) > 1 else []
        lines = [_revised(line, revision) for line in session if not line.startswith("a=group:")]
        if self.bundled:
            lines.append(f"a=group:BUNDLE {' '.join(self._bundled_in_order())}")
        for index, section in enumerate(self.sections):
            if index == self.audio:
                lines += audio if section.mid else [line for line in audio if not line.startswith("a=mid:")]
            elif index == self.data:
                lines += data
            else:
                lines += _rejected(section)
        return "\r\n".join(lines) + "\r\n"

    @property
    def _places(self) -> tuple[tuple[int, str], tuple[int, str] | None]:
        return (self.audio, self.mid), None if self.data is None else (self.data, self._data_mid)

    @property
    def _data_mid(self) -> str:
        assert self.data is not None
        return self.sections[self.data].mid or "1"

    def _bundled_in_order(self) -> list[str]:
        mids = {self.audio: self.mid} | ({self.data: self._data_mid} if self.data is not None else {})
        return [mids[index] for index in sorted(mids)]

    def _audio_lines(self) -> Iterator[str]:
        formats = [format for format in self.formats if format.codec is not None]  # aiortc knows no others
        yield f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(str(format.payload_type) for format in formats)}"
        yield "c=IN IP4 0.0.0.0"
        yield f"a=mid:{self.mid}"
        yield "a=sendonly"
        yield "a=rtcp-mux"
        for format in formats:
            channels = f"/{format.channels}" if format.channels > 1 else ""
            yield f"a=rtpmap:{format.payload_type} {format.name}/{format.clock_rate}{channels}"
        yield from self._transport_lines()
        for candidate in self.candidates:
            yield f"a={candidate}"

    def _data_lines(self) -> Iterator[str]:
        assert self.data is not None
        section = self.sections[self.data]
        yield "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
        yield "c=IN IP4 0.0.0.0"
        yield f"a=mid:{self._data_mid}"
        yield f"a=sctp-port:{_bounded(section.first('sctp-port'), 1, 65_535, 5_000)}"
        yield f"a=max-message-size:{_bounded(section.first('max-message-size'), 0, 2**31, 65_536)}"
        yield from self._transport_lines()

    def _transport_lines(self) -> Iterator[str]:
        yield f"a=ice-ufrag:{self.ufrag}"
        yield f"a=ice-pwd:{self.password}"
        for algorithm, digest in self.fingerprints:
            yield f"a=fingerprint:{algorithm} {digest}"
        yield f"a=setup:{'active' if self.active else 'passive'}"


def check_offer(text: str, *, video: bool = True, loopback: bool = False, hold: bool = False) -> Offer:
    """Read an offer and judge it. Raises NotSdp, OfferTooLarge or UnsupportedOffer with a sentence for the caller.

    `video`: an offer of video is answered, its video rejected; without it such an offer is refused (RFC 9725 forbids
    partial answers). `loopback`: candidates on the caller's own loopback address are used. `hold`: the
    audio need not be sent.
    """
    session, sections = _read(text)
    audio = _only(sections, "audio")
    if audio is None:
        raise _no_audio(sections)
    if not video and any(section.kind == "video" and section.live for section in sections):
        raise UnsupportedOffer("video_offered", "the offer has video, and only audio is taken here")
    data = _only(sections, "application")
    on_hold = _direction(session, sections[audio]) not in ("sendrecv", "sendonly")
    if on_hold and not hold:
        raise UnsupportedOffer("audio_not_sent", "the offer's audio is not sent: offer it as sendonly or sendrecv")
    _check_audio(sections[audio])
    carriers = [sections[audio]] + ([sections[data]] if data is not None else [])
    bundled = _bundled(session, carriers)
    if len(carriers) > 1 and not bundled:
        raise UnsupportedOffer("not_bundled", "the offer's audio and data channel must share one BUNDLE group")
    ufrag, password = _ice_credentials(session, carriers)
    return Offer(
        sections=tuple(sections),
        audio=audio,
        data=data,
        formats=_formats(sections[audio]),
        ufrag=ufrag,
        password=password,
        ice_lite=session.has("ice-lite"),
        fingerprints=_fingerprints(session, carriers),
        active=_caller_begins(session, carriers),
        candidates=_usable_candidates(carriers, loopback=loopback),
        bundled=bundled,
        on_hold=on_hold,
    )


# Reading


def _read(text: str) -> tuple[Section, list[Section]]:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LONGEST_OFFER:
        raise OfferTooLarge("offer_too_large", f"an offer has at most {LONGEST_OFFER} bytes, this one has {size}")
    if not text.strip():
        raise NotSdp("not_sdp", "the offer is empty")
    groups = _split(text)
    if not groups[0] or not groups[0][0].startswith("v=0"):
        raise NotSdp("not_sdp", "this is not a session description: it does not begin with v=0")
    if len(groups) == 1:
        raise NotSdp("not_sdp", "the offer has no media section")
    if len(groups) - 1 > MOST_SECTIONS:
        raise UnsupportedOffer("too_many_sections", f"an offer has at most {MOST_SECTIONS} media sections")
    session = Section(attributes=_attributes(groups[0]))
    return session, [_section(lines) for lines in groups[1:]]


def _split(text: str) -> list[list[str]]:
    """Lines by section; the first group is the session part."""
    groups: list[list[str]] = [[]]
    for line in re.split(r"\r\n|\n|\r", text):
        if line.startswith("m="):
            groups.append([])
        if line:
            groups[-1].append(line)
    return groups


def _section(lines: list[str]) -> Section:
    match = _MEDIA_LINE.fullmatch(lines[0].rstrip())
    if match is None:
        raise NotSdp("not_sdp", "the offer has a media line that cannot be read")
    kind, port, profile, formats = match.groups()
    return Section(kind, int(port), profile, tuple(formats.split()), _attributes(lines))


def _attributes(lines: list[str]) -> dict[str, list[str]]:
    attributes: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            attributes.setdefault(name, []).append(value.strip())
    return attributes


# Judging


def _only(sections: list[Section], kind: str) -> int | None:
    found = [
        index
        for index, section in enumerate(sections)
        if section.kind == kind and section.live and (kind == "audio" or section.carries_channels)
    ]
    if len(found) > 1:
        raise UnsupportedOffer(f"too_many_{kind}_sections", f"the offer has more than one {kind} section")
    if found and sections[found[0]].mid and not _TOKEN.fullmatch(sections[found[0]].mid):
        raise NotSdp("not_sdp", "the offer has a section with a mid that cannot be read")
    return found[0] if found else None


def _no_audio(sections: list[Section]) -> UnsupportedOffer:
    if any(section.kind == "video" and section.live for section in sections):
        return UnsupportedOffer("no_audio", "the offer has video and no audio: offer one audio track")
    return UnsupportedOffer("no_audio", "the offer has no audio: offer one audio track")


def _check_audio(audio: Section) -> None:
    if "SAVP" not in audio.profile:
        raise UnsupportedOffer("not_encrypted", "the offer's audio is not over DTLS-SRTP (UDP/TLS/RTP/SAVPF)")
    if not (audio.has("rtcp-mux") or audio.has("rtcp-mux-only")):
        raise UnsupportedOffer("no_rtcp_mux", "the offer's audio has no a=rtcp-mux")


def _direction(session: Section, audio: Section) -> str:
    for section in (audio, session):
        for direction in DIRECTIONS:
            if section.has(direction):
                return direction
    return "sendrecv"  # RFC 8866 section 6.7


def _bundled(session: Section, carriers: list[Section]) -> bool:
    mids = {section.mid for section in carriers}
    bundles = (set(group.split()[1:]) for group in session.values("group") if group.startswith("BUNDLE "))
    return "" not in mids and len(mids) == len(carriers) and any(mids <= bundle for bundle in bundles)


def _formats(audio: Section) -> tuple[Format, ...]:
    described = {match[1]: match for text in audio.values("rtpmap") if (match := _RTPMAP.fullmatch(text))}
    formats = {text: _format(text, described.get(text)) for text in audio.formats}
    named = [format for format in formats.values() if format is not None]
    known = tuple(format for format in named if format.codec is not None)[:MOST_FORMATS]
    if not known:
        raise UnsupportedOffer(
            "no_known_codec", "the offer names no codec that is known here: opus, PCMU, PCMA or G722"
        )
    beside = tuple(format for format in named if _fits_beside(format, known))[:MOST_FORMATS]
    red = _redundancy(audio, named, known)
    return (red, *known, *beside) if red else known + beside


def _fits_beside(format: Format, known: tuple[Format, ...]) -> bool:
    """Whether it is no audio by itself and goes with what is: keys of a telephone at a codec's clock (RFC 4733 section
    2.3; at 8 kHz with any, as browsers do), comfort noise for the codecs that have none of their own (RFC 3389)."""
    clocks = {codec.clock_rate for codec in known}
    if format.tells_digits:
        return format.clock_rate in clocks | {8_000}
    return format.is_noise and format.clock_rate in clocks & {8_000}


def _redundancy(audio: Section, offered: Iterable[Format], known: Iterable[Format]) -> Format | None:
    """RED around Opus (RFC 2198), where it is offered. It comes first in the answer: the sender uses the first."""
    opus = {format.payload_type for format in known if format.name.lower() == "opus"}
    parameters = dict(text.split(" ", 1) for text in audio.values("fmtp") if " " in text)
    for format in offered:
        if (format.name.lower(), format.clock_rate) == ("red", 48_000):
            wrapped = {part.strip() for part in parameters.get(str(format.payload_type), "").split("/")}
            for payload_type in opus:
                if wrapped == {str(payload_type)}:
                    return replace(format, repeats=payload_type)
    return None


def _format(text: str, described: re.Match[str] | None) -> Format | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and text == str(int(text))):
        return None
    number = int(text)
    if number > 127 or 64 <= number <= 95:  # those would be taken for RTCP (RFC 5761 section 4)
        return None
    if described is not None:
        return Format(number, described[2], int(described[3]), int(described[4] or 1))
    if number in STATIC_FORMATS:
        return Format(number, *STATIC_FORMATS[number])
    return None


def _ice_credentials(session: Section, carriers: list[Section]) -> tuple[str, str]:
    ufrag = _inherited("ice-ufrag", session, carriers)
    password = _inherited("ice-pwd", session, carriers)
    if not ufrag or not password:
        raise UnsupportedOffer("no_ice", "the offer has no ICE credentials (a=ice-ufrag, a=ice-pwd)")
    # RFC 8839 section 5.4
    if not (4 <= len(ufrag) <= 256 and 22 <= len(password) <= 256):
        raise UnsupportedOffer("no_ice", "the offer's ICE credentials are too short or too long")
    if not (_ICE_CHARS.fullmatch(ufrag) and _ICE_CHARS.fullmatch(password)):
        raise UnsupportedOffer("no_ice", "the offer's ICE credentials have characters that are not allowed")
    return ufrag, password


def _fingerprints(session: Section, carriers: list[Section]) -> tuple[tuple[str, str], ...]:
    texts = next((texts for part in (*carriers, session) if (texts := part.values("fingerprint"))), [])
    matches = [match for text in texts[:8] if (match := _FINGERPRINT.fullmatch(text))]
    found = tuple((match[1].lower(), match[2].upper()) for match in matches)
    known = tuple(
        (algorithm, digest) for algorithm, digest in found if len(digest) == 3 * DIGEST_BYTES.get(algorithm, 0) - 1
    )
    if not known:
        raise UnsupportedOffer("no_fingerprint", "the offer has no usable DTLS fingerprint (a=fingerprint, sha-256)")
    return known


def _caller_begins(session: Section, carriers: list[Section]) -> bool:
    """Whoever may choose is told to begin: aiortc's handshake as a client takes ECDSA certificates only, and some
    callers have RSA ones."""
    setup = _inherited("setup", session, carriers) or "actpass"
    if setup not in ("actpass", "active", "passive"):
        raise UnsupportedOffer("bad_setup", "the offer's a=setup must be actpass, active or passive")
    return setup != "passive"


def _inherited(name: str, session: Section, carriers: list[Section]) -> str | None:
    """An attribute of the transport: bundled sections share it, and the session part may hold it for all."""
    return next((value for part in (*carriers, session) if (value := part.first(name))), None)


def _usable_candidates(carriers: list[Section], *, loopback: bool) -> tuple[Candidate, ...]:
    """The first 32 that are of use. One that cannot be read is of no use either: a strange line in an offer should
    not cost the call, and a call with no candidate at all can still be found by its own checks."""
    found: dict[tuple[str, int], Candidate] = {}
    for section in carriers:
        for text in section.values("candidate"):
            try:
                candidate = candidates.parse(text)
            except BadCandidate:
                continue
            if candidates.usable(candidate, loopback=loopback):
                found.setdefault((candidate.address, candidate.port), candidate)
            if len(found) == MOST_CANDIDATES:
                return tuple(found.values())
    return tuple(found.values())


def _bounded(text: str | None, least: int, most: int, default: int) -> int:
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 10):
        return default
    return min(max(int(text), least), most)


# Answering


def _amended(lines: list[str], told: list[str]) -> list[str]:
    """A section of aiortc's answer, with our candidates, without the sender that it describes and we do not have."""
    foreign = ("a=candidate:", "a=end-of-candidates", "a=ssrc:", "a=msid:", "a=max-message-size:", "c=", "a=rtcp:")
    kept = [line for line in lines[1:] if not line.startswith(foreign)]
    kind, _, rest = lines[0].split(" ", 2)
    # Port 9 and 0.0.0.0 mean "see the candidates" (RFC 8829 section 5.3.1).
    head = [f"{kind} 9 {rest}", "c=IN IP4 0.0.0.0"]
    if kind == "m=application":
        head.append(f"a=max-message-size:{LONGEST_MESSAGE}")
    return head + kept + told


def _revised(line: str, revision: int) -> str:
    """An answer that differs from the one before it has a higher version (RFC 3264 section 8)."""
    if not line.startswith("o="):
        return line
    user, session, version, rest = line.split(" ", 3)
    return f"{user} {session} {int(version) + revision} {rest}"


def _rejected(section: Section) -> list[str]:
    # One format is enough for a section that is refused, and the offer's may be anything.
    known = (text for text in section.formats if _FORMAT.fullmatch(text))
    lines = [f"m={section.kind} 0 {section.profile} {next(known, '0')}", "c=IN IP4 0.0.0.0", "a=inactive"]
    if _TOKEN.fullmatch(section.mid):
        lines.append(f"a=mid:{section.mid}")
    return lines
