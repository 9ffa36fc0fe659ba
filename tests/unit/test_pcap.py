# SPDX-License-Identifier: Apache-2.0
"""Capture files: their frames, whole and in order, or an error that says what is wrong with the file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import PcapNgWriter, PcapWriter

from forwarder.errors import UsageError
from forwarder.tester.pcap import read_pcap

FRAMES = [bytes([number]) * size for number, size in enumerate((14, 60, 61, 1514, 9014), 1)]


def _pcap(frames: list[bytes], *, order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1) -> bytes:
    made = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for frame in frames:
        made += struct.pack(f"{order}IIII", 0, 0, len(frame), len(frame)) + frame
    return made


def _block(kind: int, body: bytes, order: str = "<") -> bytes:
    body = body.ljust((len(body) + 3) // 4 * 4, b"\0")
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def _section(order: str = "<", link: int = 1, snap: int = 0) -> bytes:
    head = _block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    return head + _block(1, struct.pack(f"{order}HHI", link, 0, snap), order)


def _enhanced(frame: bytes, order: str = "<") -> bytes:
    return _block(6, struct.pack(f"{order}IIIII", 0, 0, 0, len(frame), len(frame)) + frame, order)


def _read(folder: Path, data: bytes) -> list[bytes]:
    path = folder / "x.pcap"
    path.write_bytes(data)
    return list(read_pcap(path))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_pcap(tmp_path: Path, order: str, magic: int) -> None:
    assert _read(tmp_path, _pcap(FRAMES, order=order, magic=magic)) == FRAMES


def test_the_fcs_is_taken_off(tmp_path: Path) -> None:
    link = 1 | 1 << 26 | 2 << 28  # two words of 16 bits
    assert _read(tmp_path, _pcap(FRAMES[1:], link=link)) == [frame[:-4] for frame in FRAMES[1:]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(tmp_path: Path, order: str) -> None:
    blocks = b"".join(_enhanced(frame, order) for frame in FRAMES)
    unknown = _block(0x0BAD, b"anything", order)
    simple = _block(3, struct.pack(f"{order}I", 60) + FRAMES[1], order)
    two_sections = _section(order) + unknown + blocks + _section("<") + _enhanced(FRAMES[0]) + _section(order)
    assert _read(tmp_path, two_sections + simple) == [*FRAMES, FRAMES[0], FRAMES[1]]


@pytest.mark.parametrize("writer", [PcapWriter, PcapNgWriter])
def test_what_another_program_wrote(tmp_path: Path, writer: type) -> None:
    path = tmp_path / "x.pcap"
    with writer(str(path)) as file:
        for frame in FRAMES:
            file.write(frame)
    assert list(read_pcap(path)) == FRAMES


_CUT = struct.pack("<IIII", 0, 0, 96, 1500) + bytes(96)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither a pcap nor a pcapng file"),
        (b"PK\3\4 something else", "neither a pcap nor a pcapng file"),
        (_pcap([]), "it holds no frame"),
        (_pcap([bytes(13)]), "frame 1 has 13 bytes: no Ethernet header"),
        (_pcap(FRAMES, link=113), "its link type is 113, not Ethernet (1)"),
        (_section(link=101), "its link type is 101, not Ethernet (1)"),
        (_pcap(FRAMES)[:-1], "it is truncated"),
        (_pcap(FRAMES)[:20], "it is truncated"),
        (_pcap(FRAMES[:1])[:-20], "it is truncated"),
        ((_section() + _enhanced(FRAMES[1]))[:-1], "it is truncated"),
        (_pcap(FRAMES[:2]) + _CUT, "frame 3 was cut to 96 of 1500 bytes when it was captured"),
        (_section(snap=60) + _block(3, struct.pack("<I", 100) + bytes(60)), "frame 1 was cut to 60 of 100"),
        (_section() + struct.pack("<III", 6, 13, 0), "the block at byte 48 is damaged"),
        (_section() + _block(6, bytes(8)), "the block at byte 48 is damaged"),
        (
            _section() + _block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99) + bytes(60)),
            "the block at byte 48 is",
        ),
        (_section()[:28] + _enhanced(FRAMES[1]), "the block at byte 28 is damaged"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        _read(tmp_path, data)
    assert message in str(caught.value)
    assert str(tmp_path / "x.pcap") in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x\.pcap: No such file or directory"):
        read_pcap(tmp_path / "x.pcap")
    with pytest.raises(UsageError, match="Is a directory"):
        read_pcap(tmp_path)


_WHOLE = (_pcap(FRAMES[:3]), _section() + b"".join(map(_enhanced, FRAMES[:3])))


@pytest.mark.slow
@given(st.sampled_from(_WHOLE), st.data())
def test_no_damage_is_worse_than_an_error(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    spoilt = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, max(0, len(spoilt) - 1)), max_size=4)):
        if spoilt:
            spoilt[at] = data.draw(st.integers(0, 255))
    try:
        frames = _read(tmp_path_factory.getbasetemp(), bytes(spoilt))
    except UsageError:
        return
    assert all(14 <= len(frame) <= 9014 for frame in frames)
