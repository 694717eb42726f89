"""Results as rows of a table for other programs: one per trial, parameters and metrics in columns of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from papergen.core.errors import MachineError, PapergenError, did_you_mean
from papergen.store.index import Entry

Row = dict[str, Any]


def filter_results(entries: Iterable[Entry], only: Sequence[str], where: Sequence[str]) -> list[Entry]:
    """The whole results that `only` (experiment or experiment/row) and `where` (PARAMETER=VALUE) name."""
    found = [entry for entry in entries if not entry.fault]
    known = {entry.experiment for entry in found} | {f"{entry.experiment}/{entry.row}" for entry in found}
    for name in only:
        if name not in known:
            raise PapergenError(f"--only {name}: there is no result of this name. {did_you_mean(name, known)}")
    found = [item for item in found if not only or item.experiment in only or f"{item.experiment}/{item.row}" in only]
    for condition in where:
        name, equals, value = condition.partition("=")
        parameters = {key for entry in found for key in params_of(entry)}
        if not equals or (name not in parameters and found):
            raise PapergenError(
                f"--where {condition}: write PARAMETER=VALUE. {did_you_mean(name, parameters)}".rstrip()
            )
        found = [entry for entry in found if _as_text(params_of(entry).get(name)) == value]
    return found


def params_of(entry: Entry) -> dict[str, Any]:
    """The parameters that the trial ran with."""
    return dict((entry.parts or {}).get("params", {}))


def rows_of(entries: Iterable[Entry], current: Collection[str]) -> list[Row]:
    """One flat record per result; `current` are the digests of the plan."""
    return [
        {
            "experiment": entry.experiment,
            "row": entry.row,
            "seed": entry.seed if entry.is_seeded else None,
            "state": "current" if entry.digest in current else "old",
            **{f"params.{name}": _flat(value) for name, value in sorted(params_of(entry).items())},
            **dict(sorted((entry.metrics or {}).items())),
            "run.kind": entry.kind,
            "run.started": entry.started,
            "run.duration_s": entry.duration_s,
            "run.device": entry.device,
            "run.hostname": entry.hostname,
            "run.git_commit": entry.git_commit,
            "run.digest": entry.digest,
            "run.folder": f"results/{entry.path}",
        }
        for entry in entries
    ]


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Every column that a row has, in order: what it is, its parameters, its metrics, how it ran."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    first = names[:4]
    last = [name for name in names if name.startswith("run.")]
    params = [name for name in names if name.startswith("params.")]
    metrics = [name for name in names if name not in {*first, *last, *params}]
    return [*first, *params, *metrics, *last] if names else []


def to_csv(rows: Sequence[Row]) -> str:
    """RFC 4180 with a header line; an absent value is an empty field."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns_of(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def to_parquet(rows: Sequence[Row], path: Path) -> None:
    """One column each; needs pyarrow."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MachineError("--parquet needs pyarrow.", hint="pip install 'papergen[parquet]'") from error
    columns = {name: _one_type([row.get(name) for row in rows]) for name in columns_of(rows)}
    temporary = path.with_name(f".{path.name}.tmp")
    parquet.write_table(pa.table(columns), temporary)
    temporary.replace(path)


def _one_type(values: list[Any]) -> list[Any]:
    """Numbers as they are; a column that holds several types as text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return values if len(kinds) <= 1 else [None if value is None else _as_text(value) for value in values]


def _flat(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else _as_text(value)


def _as_text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
