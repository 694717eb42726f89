"""Protocol buffers, in which TensorBoard and W&B write their records, read without their schemas."""

from __future__ import annotations

from collections.abc import Iterator

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
    """A varint of the type int64; ValueError for bytes."""
    if not isinstance(value, int):
        raise ValueError("a text where a number should be")
    return value - (1 << 64) if value >> 63 else value


def content(value: Value) -> bytes:
    """The bytes of a text or of a message in a message; ValueError for a number."""
    if not isinstance(value, bytes):
        raise ValueError("a number where a text should be")
    return value
