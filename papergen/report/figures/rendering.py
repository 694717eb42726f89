"""A figure's PDF from the cache when nothing that decides it has changed; matplotlib is imported only when it has."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from papergen.core.files import digest_file, digest_json, slug, write_atomic
from papergen.latex.pdf import is_whole
from papergen.report.figures.figure import Figure

DRAWN_BY = ("cjk.py", "draw.py", "labels.py", "style.py")
"""Sources that decide how a figure looks."""


def render(figure: Figure, width_in: float, cache: Path) -> bytes:
    """The figure as a vector PDF of that width, Type 42 fonts, byte-identical for the same data and versions.

    `cache` is a folder that may be deleted at any time. PapergenError when a character has no glyph.
    """
    if (kept := cached(figure, width_in, cache)) is not None:
        return kept
    from papergen.report.figures.draw import draw

    data = draw(figure, width_in)
    write_atomic(_kept_at(figure, width_in, cache), data)
    return data


def cached(figure: Figure, width_in: float, cache: Path) -> bytes | None:
    """The figure when it has been drawn already and nothing that decides it has changed."""
    path = _kept_at(figure, width_in, cache)
    return path.read_bytes() if is_whole(path) else None


def _kept_at(figure: Figure, width_in: float, cache: Path) -> Path:
    return cache / f"{slug(figure.name)}-{cache_key(figure, width_in)[:24]}.pdf"


def prune(figures: Iterable[tuple[Figure, float]], cache: Path) -> None:
    """Remove every picture from the cache but those of these figures, given with their widths in inches.

    All of a paper at a time: figures of two experiments may have one name.
    """
    kept = {_kept_at(figure, width_in, cache) for figure, width_in in figures}
    for path in cache.glob(f"*-{'[0-9a-f]' * 24}.pdf"):
        if path not in kept:
            path.unlink(missing_ok=True)


def cache_key(figure: Figure, width_in: float) -> str:
    """SHA-256 over the data, the width, the drawing code and the version of matplotlib."""
    folder = Path(__file__).parent
    return digest_json(
        {
            "figure": figure.digest,
            "width_in": width_in,
            "code": {name: digest_file(folder / name) for name in DRAWN_BY},
            "matplotlib": metadata.version("matplotlib"),
        }
    )
