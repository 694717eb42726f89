"""Files of experiment trackers, made byte by byte and without them."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path

import google_crc32c


def masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def event_file(path: Path, bodies: Sequence[bytes]) -> Path:
    heads = [struct.pack("<Q", len(body)) for body in bodies]
    path.write_bytes(b"".join(h + masked(h) + body + masked(body) for h, body in zip(heads, bodies, strict=True)))
    return path


def scalar(step: int, tag: bytes, number: float) -> bytes:
    value = b"\x0a" + bytes([len(tag)]) + tag + b"\x15" + struct.pack("<f", number)
    summary = b"\x0a" + bytes([len(value)]) + value
    return b"\x10" + bytes([step]) + b"\x2a" + bytes([len(summary)]) + summary


def mlflow_database(path: Path, script: str) -> None:
    """The tables of MLflow's database that hold results, with what `script` puts into them."""
    with sqlite3.connect(path) as base:
        base.executescript(
            "CREATE TABLE experiments (experiment_id INTEGER, name TEXT);"
            "CREATE TABLE runs (run_uuid TEXT, name TEXT, experiment_id INTEGER, lifecycle_stage TEXT, start_time INT);"
            "CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, run_uuid TEXT, step INT, is_nan BOOLEAN);"
            "CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);"
            "CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);"
            "INSERT INTO experiments VALUES (7, 'e');"
            f"{script}"
        )
    base.close()
