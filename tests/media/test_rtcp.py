import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtcp import SenderReport, sender_reports

# What aiortc sends: a sender report without report blocks, then a source description with a CNAME.
REPORT = struct.pack("!BBHIIIIII", 0x80, 200, 6, 7, 3_900_000_000, 1 << 31, 48_000, 50, 4_000)
CNAME = struct.pack("!BBHIBB2sxxxx", 0x81, 202, 3, 7, 1, 2, b"me")
RECEIVER_REPORT = struct.pack("!BBHI", 0x80, 201, 1, 7)


def test_a_sender_report_is_found_among_others() -> None:
    assert sender_reports(RECEIVER_REPORT + REPORT + CNAME) == [SenderReport(7, 3_900_000_000.5, 48_000)]


def test_report_blocks_behind_it_do_not_matter() -> None:
    with_block = struct.pack("!BBH", 0x81, 200, 12) + REPORT[4:] + bytes(24)
    assert sender_reports(with_block) == [SenderReport(7, 3_900_000_000.5, 48_000)]


def test_most_compounds_hold_none() -> None:
    assert sender_reports(RECEIVER_REPORT + CNAME) == []


@pytest.mark.parametrize(
    ("datagram", "fault"),
    [
        (b"\x80\xc8\x00", "shorter than its header"),
        (b"\x40" + REPORT[1:], "another version"),
        (REPORT[:-1], "truncated"),
        (REPORT + b"\x80\xca\x00\x01", "truncated"),
        (struct.pack("!BBHI", 0x80, 200, 1, 7), "no whole sender info"),
    ],
)
def test_what_cannot_be_read_is_named(datagram: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        sender_reports(datagram)


@given(
    st.binary(max_size=300)
    | st.builds(lambda tail, cut: (REPORT + CNAME)[:cut] + tail, st.binary(max_size=60), st.integers(0, 44))
)
def test_any_bytes_are_reports_or_a_fault(datagram: bytes) -> None:
    try:
        reports = sender_reports(datagram)
    except ValueError:
        return
    assert all(0 <= report.timestamp < 2**32 and 0 <= report.ntp < 2**32 for report in reports)
