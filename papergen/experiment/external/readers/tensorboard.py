"""TensorBoard: the scalars of event files.

Field numbers are those of tensorflow's event.proto (of an Event 2 is its step, 5 its summary), summary.proto (of a
Value 1 is its tag, 2 its number, 8 its tensor) and tensor.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c

from papergen.core.errors import PapergenError
from papergen.experiment.external.readers.lines import RunSteps, run_lines
from papergen.experiment.external.readers.protobuf import content, fields, signed


def tensorboard_lines(path: Path, root: Path) -> list[dict[str, Any]]:
    """The scalars of an event file; its run is called by its folder, as seen from `root`."""
    run = path.parent.relative_to(root).as_posix() if path.parent.is_relative_to(root) else path.parent.name
    steps = RunSteps()
    try:
        for record in _records(path.read_bytes(), path):
            for step, tag, value in _scalars(record):
                steps.add(float(step), tag, value)
    except (ValueError, struct.error) as error:
        raise PapergenError(f"{path}: not a TensorBoard event file ({error}).") from error
    return run_lines(run, {}, steps)


def _records(data: bytes, path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file; a last one that is cut off (its writer was killed) is left out."""
    at = 0
    while at + 12 <= len(data):
        size, checksum = struct.unpack_from("<QI", data, at)
        if checksum != _masked_crc(data[at : at + 8]):
            raise PapergenError(f"{path}: damaged at byte {at}: the checksum of a record's length is wrong.")
        if at + 16 + size > len(data):
            return
        record = data[at + 12 : at + 12 + size]
        if struct.unpack_from("<I", data, at + 12 + size)[0] != _masked_crc(record):
            raise PapergenError(f"{path}: damaged at byte {at + 12}: a record's checksum is wrong.")
        yield record
        at += 16 + size


def _masked_crc(data: bytes) -> int:
    """CRC-32C as TFRecord stores it, rotated and shifted (tensorflow/core/lib/hash/crc32c.h)."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _scalars(event: bytes) -> Iterator[tuple[int, str, float]]:
    step, summaries = 0, []
    for number, value in fields(event):
        if number == 2:
            step = signed(value)
        elif number == 5:
            summaries.append(content(value))
    for summary in summaries:
        for number, value in fields(summary):
            if number == 1:
                tag, scalar = _summary_value(content(value))
                if scalar is not None:
                    yield step, tag, scalar


def _summary_value(data: bytes) -> tuple[str, float | None]:
    tag, scalar = "", None
    for number, value in fields(data):
        if number == 1:
            tag = content(value).decode(errors="replace")
        elif number == 2:
            scalar = struct.unpack("<f", content(value))[0]
        elif number == 8:
            scalar = _tensor_scalar(content(value))
    return tag, scalar


def _tensor_scalar(data: bytes) -> float | None:
    """The number in a tensor of one float or double; None for any other tensor."""
    kind, packed = 0, b""
    for number, value in fields(data):
        if number == 1:
            kind = signed(value)
        elif number in {4, 5, 6}:  # tensor_content, float_val, double_val
            packed = content(value)
    form = {1: "<f", 2: "<d"}.get(kind)
    return struct.unpack(form, packed)[0] if form and len(packed) == struct.calcsize(form) else None
