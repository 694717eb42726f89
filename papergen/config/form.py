"""The outer form of an experiment file: which keys it has beside parameters, and what may stand under them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from papergen.config.interpolation import interpolated
from papergen.config.sweeps import EXAMPLES, values_of
from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import Document, Keys, full_width_note

RESERVED = ("kind", "description", "seeds", "rows", "grid", "zip", "exclude", "presets", "preset")
"""Top-level keys of an experiment file that are not parameters."""

OF_ROWS = ("preset", "seeds")
"""Keys of a row, and of a preset, that are not parameters."""

_ROW_NAME = re.compile(r"^[\w][\w.+-]*$")


def filled(value: Any, document: Document, keys: Keys) -> Any:
    """`value` with the environment filled in, each fault at its own line."""
    if isinstance(value, dict):
        return {name: filled(item, document, (*keys, name)) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, document, (*keys, index)) for index, item in enumerate(value)]
    return interpolated(value, document.where(*keys))


def preset_names(written: Any) -> Sequence[str]:
    """`preset: NAME` or a list of names, as a list."""
    return [] if written is None else [written] if isinstance(written, str) else written


def read_seeds(written: Any, document: Document, keys: Keys) -> list[int]:
    """The seeds as a list, `range(0, 5)` written out."""
    where = document.where(*keys)
    written = filled(written, document, keys)
    seeds = values_of(written, where) if isinstance(written, str) else written
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise PapergenError(
            f"{where}: seeds = {written!r}: write a list of whole numbers, e.g. [0, 1, 2] or {EXAMPLES['range']}."
            f"{full_width_note(str(written))}"
        )
    if len(set(seeds)) != len(seeds):
        raise PapergenError(f"{where}: seeds = {written!r}: a seed stands twice; it would be counted twice.")
    return seeds


def faults_of_form(document: Document) -> Iterator[str]:
    """What is wrong with the keys that are not parameters."""
    data = document.data
    if not isinstance(data.get("kind"), str):
        yield f"{document.where()}: no `kind:` line. Add one, for example `kind: training`."
    try:
        read_seeds(data.get("seeds", [0]), document, ("seeds",))
    except PapergenError as error:
        yield error.message
    for section, example in (("rows", "name"), ("presets", "name")):
        found = data.get(section)
        if found is None:
            continue
        if not isinstance(found, dict) or not found:
            yield f"{document.where(section)}: write {section} as `{example}: {{parameter: value}}` lines."
            continue
        noun = section.removesuffix("s")
        for name, own in found.items():
            where = document.where(section, name)
            if not _ROW_NAME.match(name):
                note = full_width_note(name)
                yield f"{where}: {noun} name {name!r}: use letters, digits, . + - and _.{note}"
            if own is not None and not isinstance(own, dict):
                yield f"{where}: write the {noun} as `{name}: {{parameter: value}}`."
            elif own and (wrong := [key for key in own if key in RESERVED and key not in OF_ROWS]):
                also = " A row that sets a parameter itself is not multiplied." if wrong[0] in ("grid", "zip") else ""
                line = document.where(section, name, wrong[0])
                yield f"{line}: {wrong[0]} belongs to the file, not to a {noun}.{also}"
            elif own and section == "presets" and "preset" in own:
                yield f"{document.where(section, name, 'preset')}: a preset holds values, not another preset."
    for place in ((), *(("rows", row) for row in _rows_of(data))):
        named = data.get("preset") if not place else data["rows"][place[1]].get("preset")
        names = named if isinstance(named, list) else [] if named is None else [named]
        if not all(isinstance(item, str) for item in names):
            yield f"{document.where(*place, 'preset')}: preset = {named!r}: write a name or a list of names."


def _rows_of(data: Mapping[str, Any]) -> list[str]:
    rows = data.get("rows")
    return [name for name, own in rows.items() if isinstance(own, dict)] if isinstance(rows, dict) else []


def faults_of_exclusions(
    document: Document,
    conditions: Sequence[Mapping[str, Any]],
    hits: Mapping[str, Set[int]],
    rows: Mapping[str, Any],
) -> list[PapergenError]:
    """An exclusion that meets no row is a misspelling (unless `-o` changed the rows); one that meets all, a mistake.

    So is one that leaves nothing of a row: the paper would lack it, and nobody would be told. `hits`: row as it is
    written -> the conditions that its combinations met.
    """
    if not rows:
        return [PapergenError(f"{document.where('exclude')}: nothing is left: every row is excluded.")]
    if document.overridden:
        return []
    used = {index for found in hits.values() for index in found}
    kept = {row.split("@")[0] for row in rows}
    return [
        PapergenError(f"{document.where('exclude', index)}: no row is {item}; this excludes nothing.")
        for index, item in enumerate(conditions)
        if index not in used
    ] + [
        PapergenError(
            f"{document.where('exclude', min(found))}: nothing is left of the row {row}. Remove the row; or, to have "
            "it once, give it one value of each swept parameter; or name the combinations that are not wanted."
        )
        for row, found in hits.items()
        if found and row not in kept
    ]
