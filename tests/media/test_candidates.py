"""ICE candidates read and judged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.candidates import Candidate, parse, usable
from media.errors import BadCandidate


def line(
    address: str = "192.0.2.7", port: str = "5000", *, transport: str = "udp", component: str = "1", typ: str = "host"
) -> str:
    return f"candidate:1 {component} {transport} 2122260223 {address} {port} typ {typ} generation 0 ufrag abcd"


def test_a_candidate_is_read_with_or_without_its_prefix() -> None:
    candidate = Candidate("1", 1, "udp", 2122260223, "192.0.2.7", 5000, "host")
    assert parse(line()) == parse("a=" + line()) == parse(line(transport="UDP")) == candidate
    assert parse(str(candidate)) == candidate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        "candidate:1 1 udp 1 192.0.2.7 5000 host host",
        line(port="99999"),
        line(port="-1"),
        line(port="٣"),
        line(component="0"),
        line(component="x"),
        line() + " x" * 300,
        "candidate:" + "f" * 33 + " 1 udp 1 192.0.2.7 5000 typ host",
        "candidate:1 1 udp 4294967296 192.0.2.7 5000 typ host",
    ],
)
def test_what_cannot_be_read_is_bad(text: str) -> None:
    with pytest.raises(BadCandidate):
        parse(text)


@given(st.text(max_size=200))
def test_any_text_is_a_candidate_or_bad(text: str) -> None:
    try:
        usable(parse("candidate:" + text), loopback=False)
    except BadCandidate:
        return


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", "192.168.1.2", "8.8.8.8", "2606:4700::1", "fd00::2"])
def test_hosts_are_usable(address: str) -> None:
    assert usable(parse(line(address)), loopback=False)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "100.100.100.200",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "255.255.255.255",
        "240.0.0.1",
        "224.0.0.251",
        "ff02::1",
        "0.0.0.0",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::2%eth0",
        "host.example",
        "0b1a2c3d-0000-4000-8000-000000000000.local",
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
    ],
)
def test_other_addresses_are_not(address: str) -> None:
    assert not usable(parse(line(address)), loopback=False)


def test_loopback_is_usable_when_allowed() -> None:
    assert usable(parse(line("127.0.0.1")), loopback=True)
    assert usable(parse(line("::1")), loopback=True)


@pytest.mark.parametrize(
    "text", [line(transport="tcp"), line(component="2"), line(port="0"), line(typ="prflx"), line(typ="elsewhere")]
)
def test_other_kinds_are_not_usable(text: str) -> None:
    assert not usable(parse(text), loopback=True)
