"""What is costly to find out and cheap to confirm, kept from one command to the next in the user's cache folder.

Nothing depends on it: a folder that cannot be written, a damaged file and a deleted one cost time alone. Whoever keeps
something keeps with it what confirms it (`stamp`s of files), and asks that again before believing. Two commands at
once may lose each other's entries and nothing else, since a file is replaced whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from papergen.core import unchanged
from papergen.core.errors import PapergenError
from papergen.core.files import write_atomic
from papergen.core.unchanged import Stamp

SCHEMA = 1
UNUSED_DAYS = 90
"""A file that nobody wrote for so long is deleted when another is written."""
RACY_NS = 2_000_000_000
"""A file changed this recently may change again with the same times: the coarsest file systems count in 2 s."""


def is_settled(found: Stamp, *, read_ns: int) -> bool:
    """Whether content read at `read_ns` belongs to a stamp for good: no later version can bear the same stamp."""
    return not found or max(found[1], found[2]) < read_ns - RACY_NS


def folder() -> Path | None:
    """`$PAPERGEN_CACHE`, `$XDG_CACHE_HOME/papergen` or `~/.cache/papergen`; None for a user without a home."""
    if own := os.environ.get("PAPERGEN_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 (the standard: a relative one is to be ignored)
        return Path(base) / "papergen"
    try:
        return Path.home() / ".cache" / "papergen"
    except RuntimeError:
        return None


def recall(topic: str) -> dict[str, Any]:
    """What was kept under a topic; empty when nothing was, or it is damaged or of another schema."""
    place = folder()
    if place is None:
        return {}
    unchanged.ignore(os.fspath(place))
    try:
        found = json.loads((place / f"{topic}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    kept = found.get("kept") if isinstance(found, dict) and found.get("schema") == SCHEMA else None
    return kept if isinstance(kept, dict) else {}


def keep(topic: str, kept: Mapping[str, Any]) -> None:
    """Replace what is kept under a topic; whatever hinders it is ignored."""
    place = folder()
    if place is None:
        return
    text = json.dumps({"schema": SCHEMA, "kept": kept}, ensure_ascii=False)
    with contextlib.suppress(OSError, PapergenError):
        write_atomic(place / f"{topic}.json", text, is_durable=False)
        _tidy(place)


def _tidy(place: Path) -> None:
    """Delete what has not been written for `UNUSED_DAYS`."""
    oldest = time.time() - UNUSED_DAYS * 86_400
    for path in place.iterdir():
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
