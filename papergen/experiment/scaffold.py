"""`papergen new-exp`: an experiment that runs, and a test of it that passes, as a start. Nothing is overwritten."""

from __future__ import annotations

import json
import keyword
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from papergen.core.errors import PapergenError
from papergen.core.files import slug, write_atomic
from papergen.core.shipped_files import shipped
from papergen.experiment.api import Params
from papergen.experiment.external.metrics import TableLine
from papergen.experiment.external.readers.lines import typed
from papergen.experiment.external.readers.tables import READERS, read_lines
from papergen.experiment.registry import load_kinds
from papergen.experiment.schema import EDITOR, MADE, SCHEMA_FILE, schema_text

Start = Literal["python", "command", "import"]
"""What an author has: a Python function, a program, or results."""
SEEDS = ("seed", "random_seed", "rng_seed")
STEPS = ("step", "_step", "Step", "epoch", "iteration")
MAX_ROWS = 50
WANDB = frozenset(["State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep", "ID"])
"""What every export of W&B says of a run beside its name: neither a row nor a measurement."""


def new_experiment(project: Path, name: str, kind: Start, *, source: Path | None = None) -> list[Path]:
    """Write the files of a new experiment and return their paths; PapergenError when one of them is there already.

    `source`, for `import`, is a table that exists: its columns and rows become those of the experiment.
    """
    _check_name(project, name, kind)
    if source is not None and kind != "import":
        raise PapergenError("--source: is for --kind import.")
    files = {
        "python": lambda: _python_files(name),
        "command": lambda: _command_files(name),
        "import": lambda: _import_files(project, name, source),
    }[kind]()
    for relative in files:
        if os.path.lexists(project / relative):
            raise PapergenError(f"{relative}: is there already, and nothing is overwritten. Choose another name.")
    for relative, text in files.items():
        write_atomic(project / relative, text)
    paths = [project / relative for relative in files]
    return [*paths, project / SCHEMA_FILE] if _write_schema(project) else paths


def _check_name(project: Path, name: str, kind: Start) -> None:
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or keyword.iskeyword(name):
        raise PapergenError(f"{name!r}: name an experiment like a Python module: letters, digits and _, e.g. my_study.")
    if kind == "python" and name in load_kinds(None):
        raise PapergenError(f"{name}: is a kind that papergen brings along. Choose another name.")
    if (project / "experiments" / f"{name}.yaml").exists():
        raise PapergenError(f"experiments/{name}.yaml: is there already, and nothing is overwritten.")


def _write_schema(project: Path) -> bool:
    """Make the schema for editors anew, unless somebody else wrote a file of that name."""
    path = project / SCHEMA_FILE
    if path.exists() and MADE not in path.read_text(encoding="utf-8", errors="replace"):
        return False
    write_atomic(path, schema_text(load_kinds(project)))
    return True


def _python_files(name: str) -> dict[str, str]:
    return {
        f"experiments/{name}.py": _filled("python.py", name),
        f"experiments/{name}.yaml": _filled("python.yaml", name),
        f"tests/test_{name}.py": _filled("test_python.py", name),
    }


def _command_files(name: str) -> dict[str, str]:
    return {
        f"scripts/{name}.py": _filled("script.py", name),
        f"experiments/{name}.yaml": _filled("command.yaml", name),
        f"tests/test_{name}.py": _filled("test_command.py", name),
    }


def _import_files(project: Path, name: str, source: Path | None) -> dict[str, str]:
    test = {f"tests/test_{name}.py": _filled("test_import.py", name)}
    if source is None:
        table = _filled("results.csv", name)
        text = _filled("import.yaml", name)
        return {f"data/{name}.csv": table, f"experiments/{name}.yaml": text, **test}
    path = source if source.is_absolute() else Path.cwd() / source
    if path.suffix.lower() not in READERS:
        raise PapergenError(
            f"--source {source}: write the YAML by hand for this format (source:, where:, metrics:), "
            f"or give a table: {', '.join(READERS)}."
        )
    lines = read_lines(path, str(source))
    return {f"experiments/{name}.yaml": import_yaml(os.path.relpath(path, project), lines), **test}


def import_yaml(source: str, lines: Sequence[TableLine]) -> str:
    """The YAML that imports a table: numbers are metrics, the first text that tells lines apart names the rows."""
    columns = list(dict.fromkeys(column for line in lines for column in line))
    if {"Name", "State"} <= set(columns):
        columns = [column for column in columns if column not in WANDB]
    seed = next((column for column in SEEDS if column in columns), None)
    step = next((column for column in STEPS if column in columns), None)
    # What counts steps in another way (epoch beside step) is no measurement.
    counters = {seed, step, *(STEPS if step else ())}
    numbers = [c for c in columns if c not in counters and _numbers(lines, c, in_all=step is None)]
    texts = [c for c in columns if _all(lines, c, (str,)) and 1 <= len({line.get(c) for line in lines}) <= MAX_ROWS]
    row, rows = _rows(texts, lines)
    if not numbers:
        raise PapergenError(f"{source}: no column holds numbers in every line. Columns: {', '.join(columns)}.")
    text = [EDITOR.rstrip(), "kind: import", f"source: {_quoted(source)}"]
    text += [f"row: {_quoted(row)}"] if row else []
    text += [f"seed: {_quoted(seed)}", f"seeds: {sorted({int(typed(line[seed])) for line in lines})}"] if seed else []
    text += [f"step: {_quoted(step)}"] if step else []
    text += ["metrics:", *(f"  {_metric_name(c)}: {{key: {_quoted(c)}, direction: none}}" for c in numbers)]
    text += ["rows:", *(f"  {name}: {choice}" for name, choice in rows.items())] if rows else []
    return "\n".join(text) + "\n"


def _rows(texts: Sequence[str], lines: Sequence[TableLine]) -> tuple[str | None, dict[str, str]]:
    """The column that names the rows, and what each row sets; no column where values cannot be names of rows."""
    values = {column: list(dict.fromkeys(str(line[column]) for line in lines)) for column in texts}
    by_use = sorted(texts, key=lambda column: len(values[column]) == 1)  # one value tells nothing apart
    for column in by_use:
        if all(re.fullmatch(r"\w[\w.+-]*", value) for value in values[column]):
            return column, dict.fromkeys(values[column], "{}")
    for column in by_use:
        names = [_metric_name(value) for value in values[column]]
        if len(set(names)) == len(names) and not any(set(value) & set("*?[{") for value in values[column]):
            wheres = (f"{{where: {{{_quoted(column)}: {_quoted(value)}}}}}" for value in values[column])
            return None, dict(zip(names, wheres, strict=True))
    return None, {}


def _all(lines: Sequence[TableLine], column: str, types: tuple[type, ...]) -> bool:
    return bool(lines) and all(
        isinstance(v := typed(line.get(column)), types) and not isinstance(v, bool) for line in lines
    )


def _numbers(lines: Sequence[TableLine], column: str, *, in_all: bool) -> bool:
    """Whether a column holds numbers; over steps, a metric may be logged at some of them only."""
    having = lines if in_all else [line for line in lines if column in line]
    return _all(having, column, (int, float))


def _metric_name(column: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", column).strip("_.+-") or "metric"


def _quoted(text: Any) -> str:
    word = str(text)
    is_plain = re.fullmatch(r"[A-Za-z_.][\w./-]*", word) and word.lower() not in {"true", "false", "null"}
    return word if is_plain else json.dumps(word, ensure_ascii=False)


def _filled(template: str, name: str) -> str:
    """A file of `experiments/_new/` with NAME and the defaults of its kind filled in."""
    text = (shipped("experiments") / "_new" / f"{template}.new").read_text(encoding="utf-8")
    if "<DEFAULTS>\n" in text:
        text = text.replace("<DEFAULTS>\n", _defaults(load_kinds(None)[template.split(".")[0]].params, text))
    return text.replace("<EDITOR>\n", EDITOR).replace("<NAME>", name).replace("<SLUG>", slug(name))


def _defaults(params: type[Params], written: str) -> str:
    """Comment lines for the parameters that a YAML text does not set: name, default, what it is."""
    lines = ["", "# Not set above, with the default:"]
    for name, field in params.model_fields.items():
        if not re.search(rf"^{name}:", written, re.MULTILINE) and not field.is_required():
            default = field.get_default(call_default_factory=True)
            value = _quoted(default) if isinstance(default, str) else json.dumps(default) if default is not None else ""
            lines.append(f"# {f'{name}: {value}'.rstrip():<16}  {field.description}")
    return "\n".join(lines) + "\n"
