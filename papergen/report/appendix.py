"""What every paper's appendix owes its reader: parameters, machine, versions, and the run behind each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from papergen.experiment import Params
from papergen.records import Provenance, Result
from papergen.report.results import Results
from papergen.report.tables import Column, Row, Table
from papergen.report.tex import Escape, Tex, escape_ascii


def hyperparameter_table(rows: Mapping[str, Params], *, name: str = "hyperparameters") -> Table:
    """Every parameter: first those that all rows share, then, row by row, those that differ. None is left out."""
    values = {row: params.model_dump(mode="json", by_alias=True) for row, params in rows.items()}
    names = list(next(iter(values.values())))
    shared = [key for key in names if len({repr(of_row[key]) for of_row in values.values()}) == 1]
    defaults = {row: _defaults(params) for row, params in rows.items()}
    lines = [_parameter(key, next(iter(values.values()))[key], "All rows") for key in shared]
    for row, of_row in values.items():
        own = [key for key in names if key not in shared and of_row[key] != defaults[row].get(key, of_row)]
        lines += [_parameter(key, of_row[key], row) for key in own]
    column = Column(name="value", heading="Value", align="l")
    return Table(name=name, columns=(column,), rows=tuple(lines), corner="Parameter", marks_best=False)


def machine_table(results: Results) -> Table:
    """Hardware and versions, one column per machine that results came from."""
    machines = _machines(results)
    facts = [{**_hardware(provenance), **dict(provenance.packages)} for provenance in machines]
    names = list(dict.fromkeys(name for fact in facts for name in fact))
    return Table(
        name="environment",
        columns=tuple(
            Column(name=str(index), heading="Value" if len(machines) == 1 else f"Machine {index + 1}", align="l")
            for index in range(len(machines))
        ),
        rows=tuple(Row(name=key, label=key, cells=tuple(fact.get(key) for fact in facts)) for key in names),
        marks_best=False,
    )


def runs_table(results: Results) -> Table:
    """One line per trial: its key, seed, digest, when it started and how long it took."""
    rows = [
        Row(
            name=result.trial.digest,
            label=result.trial.key,
            cells=(
                str(result.trial.seed) if result.trial.is_seeded else Tex("--"),
                Tex(rf"\texttt{{{result.trial.digest[:12]}}}"),
                result.provenance.started.replace("T", " ").removesuffix("Z")[:16],
                f"{result.provenance.duration_s:.0f}",
            ),
        )
        for result in _in_order(results)
    ]
    columns = (
        Column(name="seed", heading="Seed"),
        Column(name="digest", heading="Digest", align="l"),
        Column(name="started", heading="Started (UTC)", align="l"),
        Column(name="seconds", heading="Time (s)", align="r"),
    )
    return Table(name="runs", columns=columns, rows=tuple(rows), corner="Run", marks_best=False)


def machine_text(results: Results, escape: Escape, *, language: str = "en") -> Tex:
    """Machine and versions as sentences, from what the runs recorded."""
    sentences = []
    for provenance in _machines(results):
        gpus = ", ".join(provenance.gpus)
        hardware = f"{provenance.cpu} ({provenance.num_cores} cores, {provenance.memory_gib:.0f} GiB of memory)"
        if provenance.device == "cuda" and gpus:
            hardware = f"{gpus}, {hardware}"
        versions = {
            name: provenance.packages[name] for name in ("torch", "transformers") if name in provenance.packages
        }
        if language == "zh":
            software = "、".join(f"{_NAMES[name]} {version}" for name, version in versions.items())
            sentence = f"实验在 {hardware} 上运行，使用 Python {provenance.python} 和 {software}。"
        else:
            software = " and ".join(f"{_NAMES[name]} {version}" for name, version in versions.items())
            software = f", with {software}" if software else ""
            sentence = f"Experiments ran on {hardware} under Python {provenance.python}{software}."
        sentences.append(escape(sentence))
    return Tex(" ".join(sentences) + "\n")


_NAMES = {"torch": "PyTorch", "transformers": "transformers"}


def _in_order(results: Results) -> Sequence[Result]:
    return [results.results[trial.digest] for trial in results.trials if trial.digest in results.results]


def _machines(results: Results) -> list[Provenance]:
    """One provenance per distinct machine and set of versions, in plan order."""
    distinct: dict[str, Provenance] = {}
    for result in _in_order(results):
        provenance = result.provenance
        distinct.setdefault(repr([*_hardware(provenance).values(), sorted(provenance.packages.items())]), provenance)
    return list(distinct.values())


def _hardware(provenance: Provenance) -> dict[str, str]:
    facts = {
        "Processor": provenance.cpu,
        "Cores": str(provenance.num_cores),
        "Memory": f"{provenance.memory_gib:.0f} GiB",
        "Device": provenance.device,
        "GPU": ", ".join(provenance.gpus),
        "System": provenance.platform,
        "Python": provenance.python,
        "papergen": provenance.papergen,
    }
    return {name: value for name, value in facts.items() if value}


def _parameter(name: str, value: Any, group: str) -> Row:
    label = Tex(rf"\texttt{{{escape_ascii(name)}}}")
    return Row(name=f"{group}:{name}", label=label, cells=(_shown(value),), group=group)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {item}" for name, item in value.items() if item is not None)
    if isinstance(value, list):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    return str(value)


def _defaults(params: Params) -> dict[str, Any]:
    fields = type(params).model_fields
    return {info.alias or name: info.default for name, info in fields.items() if not info.is_required()}
