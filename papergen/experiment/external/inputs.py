"""Files that an experiment reads, declared by path: they count by content."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from papergen.core.cache import known_digest
from papergen.core.errors import PapergenError


def input_files(patterns: Sequence[str], project: Path, *, parameter: str) -> dict[str, Path]:
    """File as shown -> path of all that the patterns mean: files, all files of folders, `*` and `**`."""
    found: dict[str, Path] = {}
    for pattern in patterns:
        place = project / pattern
        if any(character in pattern for character in "*?["):
            root = Path(place.anchor)
            paths = [path for path in root.glob(str(place.relative_to(root))) if path.is_file()]
        elif place.is_dir():
            paths = [path for path in place.rglob("*") if path.is_file()]
        else:
            paths = [place] if place.is_file() else []
        if not paths:
            near = [path.name for path in place.parent.iterdir()] if place.parent.is_dir() else []
            what = "nothing matches this" if "*" in pattern else "there is no such file or folder"
            beside = f" Beside it: {', '.join(sorted(near)[:8])}." if near else ""
            raise PapergenError(f"{parameter}: {pattern}: {what} (looked in {place.parent}).{beside}")
        found |= {os.path.relpath(path, project): path for path in sorted(paths)}
    return _each_once(found)


def _each_once(files: Mapping[str, Path]) -> dict[str, Path]:
    """Without files that are there a second time by a link (`wandb/latest-run`)."""
    real = {path.resolve(): name for name, path in sorted(files.items(), key=lambda item: item[1] == item[1].resolve())}
    return {name: path for name, path in files.items() if real[path.resolve()] == name}


def input_digests(patterns: Sequence[str], project: Path, *, parameter: str = "inputs") -> Mapping[str, str]:
    """File as shown -> SHA-256."""
    return {name: known_digest(path) for name, path in input_files(patterns, project, parameter=parameter).items()}
