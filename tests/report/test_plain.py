"""What an experiment adds to the paper: what its kind's `report` says, and the plain tables without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from papergen.core.errors import PapergenError
from papergen.experiment.registry import load_kind
from papergen.latex.text import Tex, escape
from papergen.report.parts import Part, View
from papergen.report.plain import part_of

KIND = """import papergen

class Params(papergen.Params):
    pass

METRICS = ()

def run(params, ctx):
    return {}

"""


def part(folder: Path, report: str) -> Part:
    path = folder / "mine.py"
    path.write_text(KIND + report, encoding="utf-8")
    none: Any = None  # no result is asked for
    kind = load_kind(path)
    return part_of(View(experiment="study", results=none, store=none, kind=kind, escape=escape, language="en"))


def test_a_report_is_taken_as_it_is_and_none_adds_nothing(tmp_path: Path) -> None:
    says = (
        "def report(view):\n    from papergen.report.parts import Part\n    return Part(texts={'a': view.experiment})\n"
    )
    assert part(tmp_path, says).texts == {"a": Tex("study")}
    assert part(tmp_path, "def report(view): return None\n") == Part()


def test_a_report_that_raises_is_told_at_its_line(tmp_path: Path) -> None:
    line = KIND.count("\n") + 2
    with pytest.raises(PapergenError, match=rf"mine.py:{line}: report\(\) raised KeyError: 'x'"):
        part(tmp_path, "def report(view):\n    return {}['x']\n")


def test_a_report_that_returns_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PapergenError, match=r"mine.py: report\(\) returned dict, not a Part"):
        part(tmp_path, "def report(view): return {'a': 1}\n")
