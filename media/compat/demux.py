"""What a datagram is, by its first bytes: STUN, DTLS and media share one socket (RFC 7983 section 7). Until
`guard` and `packets`, which ask, can go."""

STUN = range(4)
MEDIA = range(128, 192)  # RTP and RTCP, which the second byte tells apart:
RTCP = range(192, 224)  # RFC 5761 section 4


def is_stun(data: bytes) -> bool:
    """Whether a datagram, which must not be empty, can only be STUN."""
    return data[0] in STUN


def is_rtp(data: bytes) -> bool:
    """Whether a datagram, which must not be empty, can only be RTP: encrypted yet, and of any sender."""
    return data[0] in MEDIA and len(data) > 1 and data[1] not in RTCP
