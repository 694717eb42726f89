"""What every paper's appendix owes its reader: parameters, machine, versions, and the run behind each number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from papergen.experiment.api import Params
from papergen.latex.text import Escape, Tex, escape
from papergen.report.results import Results
from papergen.report.tables.table import Column, Row, Table
from papergen.store.records import Provenance, Result

ALL_ROWS = "All rows"
OFF: tuple[Any, ...] = (None, False, 0, "none", [], {})
"""Values at which a parameter does nothing."""


def hyperparameter_table(rows: Mapping[str, Params], *, name: str = "hyperparameters") -> Table:
    """Every parameter that is switched on: first those of all rows, then, row by row, what differs from them.

    A parameter that rows leave at its default stands once with that default, "unless given below". Left out is what
    no row touched and whose default is off (absent, false, none or zero), and what is idle in every row.
    """
    values = {row: params.model_dump(mode="json", by_alias=True) for row, params in rows.items()}
    defaults = _defaults(next(iter(rows.values())))
    lines: list[Row] = []
    own: list[Row] = []
    idle = frozenset.intersection(*(params.idle_params for params in rows.values()))
    for key in next(iter(values.values())):
        if key in idle:
            continue
        of_rows = {row: of_row[key] for row, of_row in values.items()}
        first = next(iter(of_rows.values()))
        if all(value == first for value in of_rows.values()):
            if not (first in OFF and first == defaults.get(key)):
                lines.append(_parameter(key, _shown(first), ALL_ROWS))
            continue
        default = defaults.get(key)
        if default is not None and default in of_rows.values():
            lines.append(_parameter(key, f"{_shown(default)}, unless given below", ALL_ROWS))
        own += [_parameter(key, _shown(value), row) for row, value in of_rows.items() if value != default]
    order = list(rows)
    lines += sorted(own, key=lambda line: order.index(line.group))
    column = Column(name="value", heading="Value", align="l")
    return Table(name=name, columns=(column,), rows=tuple(lines), corner="Parameter", marks_best=False, is_long=True)


def machine_table(results: Results) -> Table:
    """Hardware and versions, one column per machine that results came from."""
    machines = _machines(results) or [{"Device": "none: all results are imported"}]
    names = list(dict.fromkeys(name for machine in machines for name in machine))
    return Table(
        name="environment",
        columns=tuple(
            Column(name=str(index), heading="Value" if len(machines) == 1 else f"Machine {index + 1}", align="l")
            for index in range(len(machines))
        ),
        rows=tuple(Row(name=key, label=key, cells=tuple(machine.get(key) for machine in machines)) for key in names),
        marks_best=False,
    )


def runs_table(results: Results, *, has_targets: bool = False) -> Table:
    """One line per trial, experiment by experiment: its row, seed, digest, day and duration.

    The day is that of UTC. With `has_targets` each digest can be linked to.
    """
    order = results.experiments
    rows = [
        Row(
            name=result.trial.digest,
            label=_name(result.trial.row),
            group=_name(result.trial.experiment),
            cells=(
                str(result.trial.seed) if result.trial.is_seeded else Tex("--"),
                _digest(result.trial.digest[:12], is_target=has_targets),
                result.provenance.started[:10],
                _seconds(result.provenance.duration_s),
            ),
        )
        for result in sorted(_in_order(results), key=lambda result: order.index(result.trial.experiment))
    ]
    columns = (
        Column(name="seed", heading="Seed"),
        Column(name="digest", heading="Digest", align="l"),
        Column(name="started", heading="Started", align="l"),
        Column(name="seconds", heading="Time (s)", align="r"),
    )
    return Table(name="runs", columns=columns, rows=tuple(rows), corner="Run", marks_best=False, is_long=True)


def _seconds(duration_s: float) -> str:
    """Whole seconds; two significant digits of what takes less than one, plainly written (`0.034`)."""
    if not 0 < duration_s < 0.995:
        return f"{duration_s:.0f}"
    return f"{duration_s:.{1 - math.floor(math.log10(float(f'{duration_s:.1e}')))}f}"


def _name(name: str) -> Tex:
    """A name as it is typed in YAML and on the command line, in every language."""
    return Tex(rf"\texttt{{{escape(name)}}}")


def _digest(digest: str, *, is_target: bool) -> Tex:
    shown = rf"\texttt{{{digest}}}"
    if not is_target:
        return Tex(shown)
    return Tex(rf"\ifdefined\hypertarget\hypertarget{{papergen-run-{digest}}}{{{shown}}}\else{shown}\fi")


def machine_text(results: Results, escape: Escape, *, language: str = "en") -> Tex:
    """Machine and versions as sentences, from what the runs recorded."""
    sentences = []
    for machine in _machines(results):
        cores, memory = machine["Cores"], machine["Memory"]
        hardware = f"{machine['Processor']} ({cores} cores, {memory} of memory)"
        if language == "zh":
            hardware = f"{machine['Processor']}（{cores} 核，{memory} 内存）"
        if "GPU" in machine:
            hardware = f"{machine['GPU']}{'，' if language == 'zh' else ', '}{hardware}"
        versions = [f"{_NAMES[name]} {machine[name]}" for name in _NAMES if name in machine]
        if language == "zh":
            software = "、".join([f"Python {machine['Python']}", *versions])
            sentences.append(escape(f"实验所用机器为 {hardware}，软件为 {software}。"))
        else:
            software = f", with {' and '.join(versions)}" if versions else ""
            sentences.append(escape(f"Experiments ran on {hardware} under Python {machine['Python']}{software}."))
    return Tex(("" if language == "zh" else " ").join(sentences) + "\n")


_NAMES = {"torch": "PyTorch", "transformers": "transformers"}


def _in_order(results: Results) -> Sequence[Result]:
    return [results.results[trial.digest] for trial in results.trials if trial.digest in results.results]


def _machines(results: Results) -> list[dict[str, str]]:
    """Facts of every distinct machine and set of versions; runs that agree where both say something share one."""
    machines: list[dict[str, str]] = []
    for result in _in_order(results):
        if result.is_imported:  # this machine only read the numbers
            continue
        facts = {**_hardware(result.provenance), **dict(result.provenance.packages)}
        for machine in machines:
            if all(machine.get(name, value) == value for name, value in facts.items()):
                machine.update(facts)
                break
        else:
            machines.append(facts)
    return machines


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


def _parameter(name: str, value: str, group: str) -> Row:
    return Row(name=f"{group}:{name}", label=_name(name), cells=(value,), group=group)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {item}" for name, item in value.items() if item is not None)
    if isinstance(value, list):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    return str(value) or '""'


def _defaults(params: Params) -> dict[str, Any]:
    fields = type(params).model_fields
    return {
        info.alias or name: info.get_default(call_default_factory=True)
        for name, info in fields.items()
        if not info.is_required()
    }
