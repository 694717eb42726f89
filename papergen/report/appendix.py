"""What every paper's appendix owes its reader: parameters, machine, versions, and the run behind each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from papergen.core.numbers import rounded, significant
from papergen.core.phrase import Phrase
from papergen.experiment.api import Params
from papergen.latex.text import Escape, Tex, command, escape
from papergen.report.results import Results
from papergen.report.tables.table import Column, Row, Table
from papergen.store.records import Provenance, Result

ALL_ROWS = Phrase("All rows", "所有行")
OFF: tuple[Any, ...] = (None, False, 0, "none", [], {})
"""Values at which a parameter does nothing."""


def hyperparameter_table(
    rows: Mapping[str, Params], *, name: str = "hyperparameters", labels: Mapping[str, str] | None = None
) -> Table:
    """Every parameter that is switched on: first those of all rows, then, row by row, what differs from them.

    A parameter that rows leave at its default stands once with that default, "unless given below". Left out is what
    no row touched and whose default is off (absent, false, none or zero), and what is idle in every row. A row stands
    under its name as it is typed, in Chinese under its Chinese label where `labels` has one.
    """
    groups = {row: Phrase(row, label.zh) if isinstance(label, Phrase) else row for row, label in (labels or {}).items()}
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
            usual = Phrase("{}, unless given below", "{}（另列者除外）").format(_shown(default))
            lines.append(_parameter(key, usual, ALL_ROWS))
        own += [
            _parameter(key, _shown(value), groups.get(row, row)) for row, value in of_rows.items() if value != default
        ]
    order = list(rows)
    lines += sorted(own, key=lambda line: order.index(line.group))
    column = Column(name="value", heading=Phrase("Value", "值"), align="l")
    return Table(
        name=name,
        columns=(column,),
        rows=tuple(lines),
        corner=Phrase("Parameter", "参数"),
        marks_best=False,
        is_long=True,
    )


def machine_table(results: Results) -> Table:
    """Hardware and versions, one column per machine that results came from."""
    machines = _machines(results) or [{"Device": Phrase("none: all results are imported", "无：全部结果均为导入")}]
    names = list(dict.fromkeys(name for machine in machines for name in machine))
    return Table(
        name="environment",
        columns=tuple(
            Column(name=str(index), heading=_machine(index, len(machines)), align="l") for index in range(len(machines))
        ),
        rows=tuple(
            Row(name=key, label=_FACTS.get(key, key), cells=tuple(machine.get(key) for machine in machines))
            for key in names
        ),
        marks_best=False,
    )


def _machine(index: int, count: int) -> str:
    if count == 1:
        return Phrase("Value", "值")
    return Phrase("Machine {}", "机器 {}").format(index + 1)


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
        Column(name="seed", heading=Phrase("Seed", "种子")),
        Column(name="digest", heading=Phrase("Digest", "摘要值"), align="l"),
        Column(name="started", heading=Phrase("Started", "开始日期"), align="l"),
        Column(name="seconds", heading=Phrase("Time (s)", "用时 (s)"), align="r"),
    )
    return Table(
        name="runs", columns=columns, rows=tuple(rows), corner=Phrase("Run", "运行"), marks_best=False, is_long=True
    )


def _seconds(duration_s: float) -> str:
    """Whole seconds; two significant digits of what takes less than one, plainly written (`0.034`)."""
    return significant(duration_s, 2) if 0 < duration_s < 0.995 else rounded(duration_s, 0)


def _name(name: str) -> Tex:
    """A name as it is typed in YAML and on the command line, in every language."""
    return command("texttt", escape(name))


def _digest(digest: str, *, is_target: bool) -> Tex:
    shown = command("texttt", digest)
    if not is_target:
        return shown
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


_FACTS = {
    "Processor": Phrase("Processor", "处理器"),
    "Cores": Phrase("Cores", "核心数"),
    "Memory": Phrase("Memory", "内存"),
    "Device": Phrase("Device", "设备"),
    "System": Phrase("System", "系统"),
}
"""What the table of machines calls a fact; other names (GPU, Python, torch) are the same in both languages."""


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
        if set(value) == {"from", "row", "seed"} and None not in value.values():  # a `From`, traced to its trial
            return Phrase("from {} row {} seed {}", "实验 {} 的 {} 行，种子 {}").format(*value.values())
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
