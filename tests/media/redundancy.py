"""RED payloads, as a sender makes them (RFC 2198)."""

from media.red import Block

LONGEST_OFFSET = 1 << 14  # samples that the header's 14 bits can tell


def wrap(blocks: list[Block]) -> bytes:
    """The payload with these blocks, oldest first. Inverse of `parse`."""
    *older, newest = blocks
    headers = b"".join(
        (0x80 << 24 | block.payload_type << 24 | block.offset << 10 | len(block.payload)).to_bytes(4) for block in older
    )
    return headers + bytes([newest.payload_type]) + b"".join(block.payload for block in blocks)
