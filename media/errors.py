"""What can go wrong with a peer or with what somebody sends to be decoded, and who is to blame.

MediaError
├── BadOffer               the offer cannot be answered; `code` names why             (the caller's)
│   ├── NotSdp             it is not a session description at all
│   ├── OfferTooLarge      more bytes than are read
│   └── UnsupportedOffer   it is one, and asks for what is not served
├── BadCandidate           an ICE candidate that cannot be read                       (the caller's)
├── BadMedia               a file or stream that cannot be decoded; `code` names why  (the caller's)
├── NeverConnected         no connection within the time allowed                      (the network's)
├── SlowReader             too much waits for the caller to read                      (the caller's)
├── NoPort                 no UDP port could be bound                                 (ours)
├── NoDecoder              the decoder that was asked for is not to be had            (ours)
├── NoProcess              no process could be started to decode in                   (ours)
└── BadServer              a STUN or TURN server that cannot be used as configured    (ours)
"""


class MediaError(Exception):
    """The base of every error that the media side raises on purpose."""


class BadOffer(MediaError):
    """An offer that cannot be answered. The message is a sentence for the caller; `code` is for machines."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotSdp(BadOffer):
    """Not a session description: empty, something else, or broken beyond reading."""


class OfferTooLarge(BadOffer):
    """More bytes than an offer may have."""


class UnsupportedOffer(BadOffer):
    """A session description that asks for what is not served, or lacks what is needed."""


class BadCandidate(MediaError):
    """An ICE candidate that cannot be read. One that is merely of no use is ignored instead."""


class BadMedia(MediaError):
    """A file or stream that cannot be decoded. The message is a sentence that says what to do; `code` is for machines:
    empty, unknown_format, no_audio, unsupported, damaged, too_long or too_costly."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NeverConnected(MediaError):
    """The caller did not connect in time, or its connection failed while being made."""


class SlowReader(MediaError):
    """More bytes wait for the caller than are kept."""


class NoPort(MediaError):
    """No UDP port could be bound, on any address."""


class NoDecoder(MediaError):
    """The decoder that was asked for is not on this machine, or cannot do what is wanted."""


class NoProcess(MediaError):
    """No process could be started to decode in: too many are running, or there is no memory for one."""


class BadServer(MediaError):
    """A STUN or TURN server that cannot be used as it was configured."""
