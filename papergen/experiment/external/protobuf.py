"""The two little languages that run records are written in: protocol buffers, and records with a masked CRC-32C."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from papergen.core.errors import PapergenError

Value = int | bytes


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Field number and value of a protocol-buffer message: an integer for varints, else the bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(data):
            raise ValueError("a field is cut off")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number is cut off")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def signed(value: Value) -> int:
    """A varint of the type int64."""
    assert isinstance(value, int), "an int64 is a varint"
    return value - (1 << 64) if value >> 63 else value


def tf_records(data: bytes, where: str) -> Iterator[bytes]:
    """The records of a TFRecord file; a last one that is cut off (its writer was killed) is left out."""
    at = 0
    while at + 12 <= len(data):
        head = data[at : at + 8]
        (size,) = struct.unpack("<Q", head)
        if struct.unpack("<I", data[at + 8 : at + 12])[0] != masked_crc(head):
            raise PapergenError(f"{where}: damaged at byte {at}: the checksum of a record's length is wrong.")
        body = data[at + 12 : at + 12 + size]
        if at + 16 + size > len(data):
            return
        if struct.unpack("<I", data[at + 12 + size : at + 16 + size])[0] != masked_crc(body):
            raise PapergenError(f"{where}: damaged at byte {at + 12}: a record's checksum is wrong.")
        yield body
        at += 16 + size


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC32C = _table()


def crc32c(data: bytes) -> int:
    """CRC-32 with Castagnoli's polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """As TFRecord stores it: rotated and shifted by a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
