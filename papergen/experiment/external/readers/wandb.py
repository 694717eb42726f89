"""Weights & Biases: runs that were recorded on this machine, offline ones too.

Field numbers are those of wandb_internal.proto: of a Record 2 is its history and 17 its run; of a RunRecord 1 is
run_id, 4 config, 6 run_group, 8 display_name; of an item 1 is its key, 2 its nested keys, 16 its value in JSON.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError
from papergen.experiment.external.readers.lines import RunSteps, run_lines
from papergen.experiment.external.readers.protobuf import content, fields
from papergen.experiment.external.readers.tables import flat


def wandb_lines(path: Path) -> list[dict[str, Any]]:
    """A run as W&B wrote it to `wandb/*run-*/run-ID.wandb`."""
    steps = RunSteps()
    facts: dict[str, Any] = {}
    run = path.stem.removeprefix("run-")
    try:
        for record in _records(path.read_bytes(), path):
            for number, value in fields(record):
                if number == 2:
                    row = _items(content(value), 1)
                    step = row.pop("_step", len(steps.lines))
                    kept = {key: item for key, item in row.items() if not key.startswith("_")}
                    for key, item in flat(kept, str(path)).items():
                        steps.add(float(step), key, item)
                elif number == 17:
                    run = _run_name(content(value), facts, str(path)) or run
    except (ValueError, struct.error) as error:
        raise PapergenError(f"{path}: not a W&B run file ({error}).") from error
    return run_lines(run, facts, steps)


def _run_name(data: bytes, facts: dict[str, Any], where: str) -> str:
    name = ""
    for number, value in fields(data):
        if number == 1:
            facts["run_id"] = content(value).decode()
        elif number == 4:
            config = _items(content(value), 1)
            facts |= {
                f"params.{key}": item for key, item in flat(config, where).items() if not key.startswith("_wandb")
            }
        elif number == 6:
            facts["tags.group"] = content(value).decode()
        elif number == 8:
            name = content(value).decode()
    return name


def _items(data: bytes, wanted: int) -> dict[str, Any]:
    """The key-value items of a history or config record: key or nested keys, and a value in JSON."""
    found: dict[str, Any] = {}
    for number, value in fields(data):
        if number != wanted:
            continue
        keys, item = [], None
        for inner, part in fields(content(value)):
            if inner in {1, 2} and part:
                keys.append(content(part).decode())
            elif inner == 16:
                item = json.loads(content(part))
        found[".".join(keys)] = item
    return found


def _records(data: bytes, path: Path) -> Iterator[bytes]:
    """The records of W&B's log (LevelDB's form: 32 KiB blocks, a record whole or as first, middle and last pieces)."""
    if data[:4] != b":W&B":
        raise PapergenError(f"{path}: not a W&B run file (it does not begin with :W&B).")
    at, pieces = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        checksum, size, kind = struct.unpack("<IHB", data[at : at + 7])
        if kind == 0:
            at += left
            continue
        piece = data[at + 7 : at + 7 + size]
        if len(piece) < size:
            return  # cut off: its writer was killed
        if zlib.crc32(piece, zlib.crc32(bytes([kind]))) != checksum:
            raise PapergenError(f"{path}: damaged at byte {at}: a record's checksum is wrong.")
        at += 7 + size
        pieces = piece if kind in {1, 2} else pieces + piece
        if kind in {1, 4}:
            yield pieces
            pieces = b""
