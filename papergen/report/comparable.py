"""Whether numbers may stand side by side: the same data and precision, and for speed the same machine."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from papergen.core.errors import PapergenError
from papergen.report.results import Results
from papergen.store.records import Result

SPEED_UNITS = re.compile(r"(^|/)\s*(ns|us|µs|ms|s|min|h)$|FLOP|MiB|GiB|^W$|^J$")
"""Units of numbers that the machine decides."""


def is_speed(unit: str) -> bool:
    """Whether a metric of that unit measures the machine as well as the method: "s", "tokens/s", "MiB"."""
    return bool(SPEED_UNITS.search(unit))


def require_comparable(
    results: Results, name: str, metrics: Mapping[str, Collection[str]], *, varies: Collection[str] = ()
) -> None:
    """Refuse to set rows side by side that differ in what should be equal; PapergenError says what and where.

    `metrics` maps `experiment/row` to the metrics shown of it. `varies` names what the author compares on purpose:
    "data", "dtype" or "hardware".
    """
    for column in dict.fromkeys(metric for shown in metrics.values() for metric in shown):
        rows = [key for key, shown in metrics.items() if column in shown]
        found = {key: results.finished(*key.split("/")) for key in rows}
        units = {results.metric(key.split("/")[0], column).unit for key in rows}
        if len(units) > 1:
            raise PapergenError(f"{name}: {column} counts in {' and in '.join(sorted(units))}; convert one of them.")
        facets = {"data": _data, "dtype": _dtype}
        if any(is_speed(unit) for unit in units):
            facets["hardware"] = _hardware
        for facet, of in facets.items():
            if facet not in varies:
                _require_equal(name, facet, {key: [of(result) for result in seeds] for key, seeds in found.items()})


def _require_equal(name: str, facet: str, met: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    first: dict[str, tuple[Any, str]] = {}
    for key, seeds in met.items():
        for facts in seeds:
            for what, value in facts.items():
                expected, where = first.setdefault(what, (value, key))
                if value != expected:
                    raise PapergenError(
                        f"{name}: {where} and {key} are not comparable: {what} is {_short(expected)} in the one and "
                        f"{_short(value)} in the other.",
                        hint=f'Run them alike, or say that this is what the table compares: varies={{"{facet}"}}.',
                    )


def _data(result: Result) -> Mapping[str, Any]:
    return {f"the data {name!r}": digest for name, digest in result.trial.parts.get("data", {}).items()}


def _dtype(result: Result) -> Mapping[str, Any]:
    dtype = result.outcome.facts.get("dtype", result.trial.params.get("dtype"))
    return {} if dtype is None else {"the dtype": dtype}


def _hardware(result: Result) -> Mapping[str, Any]:
    if result.is_imported:  # our own machine only read the number
        paths = ", ".join(str(origin["path"]) for origin in result.outcome.facts.get("origin", []))
        return {"the device": f"unknown (imported from {paths})"}
    machine = result.provenance
    gpus = ", ".join(sorted(set(machine.gpus))) if machine.device != "cpu" else ""
    return {"the device": machine.device, "the CPU": machine.cpu, **({"the GPU": gpus} if gpus else {})}


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if re.fullmatch(r"[0-9a-f]{40,}", text) else text
