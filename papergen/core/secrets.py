"""`${secret:NAME}`: a value that is known only while a trial runs. Records, digests and logs hold the reference."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError

REFERENCE = re.compile(r"\$\{secret:([A-Za-z_]\w*)\}")
MIN_LENGTH = 4
"""A shorter value would be found in too many places that are not it."""
MAX_BYTES = 64 * 2**20
TEXT_SUFFIXES = frozenset({".log", ".json", ".jsonl", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".md"})


def secret_names(value: Any) -> set[str]:
    """The variables that `value` and all in it refer to."""
    if isinstance(value, str):
        return set(REFERENCE.findall(value))
    if isinstance(value, Mapping):
        return {name for item in value.values() for name in secret_names(item)}
    if isinstance(value, list | tuple):
        return {name for item in value for name in secret_names(item)}
    return set()


def missing_secrets(value: Any) -> list[str]:
    """The variables among them that are not set, or too short to be kept out of a log."""
    return sorted(name for name in secret_names(value) if len(os.environ.get(name, "")) < MIN_LENGTH)


def revealed(value: Any) -> Any:
    """`value` with every reference replaced by what the variable holds."""
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: _value_of(match.group(1)), value)
    if isinstance(value, Mapping):
        return {name: revealed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [revealed(item) for item in value]
    return value


def _value_of(name: str) -> str:
    if missing_secrets(f"${{secret:{name}}}"):
        raise PapergenError(
            f"${{secret:{name}}}: the environment has no variable {name} of at least {MIN_LENGTH} characters.",
            hint=f"Type: export {name}=...",
        )
    return os.environ[name]


def redacted(text: str, params: Any) -> str:
    """`text` with the values of all secrets in `params` replaced by their references."""
    for name, value in _known(params):
        text = text.replace(value, f"${{secret:{name}}}")
    return text


def scrub(folder: Path, params: Any) -> None:
    """Take the secrets of `params` out of every text file of a trial's folder."""
    known = [(name, value.encode()) for name, value in _known(params)]
    if not known or not folder.is_dir():
        return
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in TEXT_SUFFIXES and path.stat().st_size <= MAX_BYTES:
            data = clean = path.read_bytes()
            for name, value in known:
                clean = clean.replace(value, f"${{secret:{name}}}".encode())
            if clean != data:
                path.write_bytes(clean)


def _known(params: Any) -> Iterator[tuple[str, str]]:
    for name in sorted(secret_names(params), key=lambda name: -len(os.environ.get(name, ""))):
        if len(value := os.environ.get(name, "")) >= MIN_LENGTH:
            yield name, value
