"""What the file of a kind may define: a misspelt hook is told with the right name, and every shipped file obeys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import papergen

from papergen.core.errors import PapergenError
from papergen.core.shipped_files import shipped
from papergen.experiment.hooks import CONSTANTS, FUNCTIONS, Hooks
from papergen.experiment.kind import Kind
from papergen.experiment.registry import load_kind, load_kinds

HEAD = """import papergen
from papergen import Metric

class Params(papergen.Params):
    size: int = 1

METRICS = (Metric(name="score", label="Score"),)

def run(params, ctx):
    return {"score": params.size}

"""


def kind(folder: Path, more: str, head: str = HEAD) -> Kind:
    path = folder / "mine.py"
    path.write_text(head + more, encoding="utf-8")
    return load_kind(path)


@pytest.mark.parametrize(
    ("more", "right"),
    [
        ("def num_rank(params): return 2", "num_ranks"),
        ("def is_seed(params): return False", "is_seeded"),
        ("def reports(view): return None", "report"),
        ("def unavaliable(params, device, num_gpus): return None", "unavailable"),
        ("def take_all_gpus(params): return True", "takes_all_gpus"),
        ("PRELOADS = ()", "PRELOAD"),
        ("REVEAL_SECRETS = True", "REVEALS_SECRETS"),
    ],
)
def test_a_misspelt_hook_is_an_error_at_its_line_with_the_right_name(tmp_path: Path, more: str, right: str) -> None:
    with pytest.raises(PapergenError) as caught:
        kind(tmp_path, more)
    assert str(caught.value).startswith(f"{tmp_path}/mine.py:{HEAD.count(chr(10)) + 1}: ")
    assert f"Did you mean {right}?" in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        "def _num_rank(params): return 2",
        "def encode(text): return text",
        "def load_data(path): return path",
        "def num_ranks(params): return 2\ndef num_ranks_of(params): return 2",  # no hook can be meant twice
        "from os.path import exists as reports",
        "METHOD = 'x'",
    ],
)
def test_helpers_of_the_authors_own_are_left_alone(tmp_path: Path, more: str) -> None:
    assert kind(tmp_path, more).name == "mine"


def test_a_hook_that_takes_other_arguments_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PapergenError) as caught:
        kind(tmp_path, "def num_ranks():\n    return 2\n\ndef data(params):\n    return {}\n")
    text = str(caught.value)
    assert f"mine.py:{HEAD.count(chr(10)) + 1}: papergen calls num_ranks(params), and the file has num_ranks()." in text
    assert "papergen calls data(params, project), and the file has data(params)." in text
    kind(tmp_path, "def unavailable(params, *machine): return None")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PapergenError, match="needs METRICS, run"):
        kind(tmp_path, "", head="import papergen\nclass Params(papergen.Params): pass\n")
    own_metrics = "def metrics(params):\n    return [Metric(name=f's{params.size}', label='S')]\n"
    found = kind(tmp_path, own_metrics, head=HEAD.replace("METRICS =", "_ALL ="))
    assert [metric.name for metric in found.metrics({"size": 3})] == ["s3"]


def test_every_hook_has_a_method_of_the_kind_that_asks_it_and_a_sentence() -> None:
    for name in FUNCTIONS:
        assert hasattr(Kind, {"code": "code_of"}.get(name, name))
        assert getattr(Hooks, name).__doc__
    assert {"Params", "METRICS", "ROW_LABELS", "PRELOAD", "REVEALS_SECRETS"} == CONSTANTS


def test_the_guide_lists_every_hook() -> None:
    guide = (shipped("experiments").parent / "docs" / "experiments.md").read_text(encoding="utf-8")
    missing = [name for name in FUNCTIONS - {"run"} if f"| `{name}(" not in guide]
    assert not missing


def test_an_exception_of_a_hook_is_told_at_its_line(tmp_path: Path) -> None:
    found = kind(tmp_path, "def num_ranks(params):\n    return 2 // (params.size - 1)\n")
    line = HEAD.count("\n") + 2
    with pytest.raises(PapergenError, match=rf"mine.py:{line}: num_ranks\(\) raised ZeroDivisionError: "):
        found.num_ranks(found.params())


def test_every_shipped_kind_can_be_loaded() -> None:
    kinds = load_kinds(None)
    assert {kinds[name].name for name in kinds} == set(kinds)


def test_a_file_that_exits_when_it_is_loaded_is_an_error_at_its_line(project: Path) -> None:
    (project / "experiments" / "leaving.py").write_text("import sys\n\nsys.exit(0)\n", encoding="utf-8")
    for command in ("status", "run-exp", "build-pdf"):
        done = papergen(command, cwd=project)
        assert done.returncode == 2
        assert "leaving.py:3: loading this file called sys.exit(0)." in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ("def num_ranks(params): return 'two'", "12: num_ranks() returned 'two': it is to return a whole number"),
        ("def num_ranks(params): return 0", "12: num_ranks() returned 0: it is to return a whole number from 1"),
        ("def num_ranks(params): raise SystemExit(0)", "12: num_ranks() raised SystemExit: 0"),
        ("def is_seeded(params): pass", "12: is_seeded() returned None: it is to return True or False"),
        ("def data(params, project): return ['a']", "12: data() returned ['a']: it is to return a mapping"),
        ("METRICS = ('score',)", " METRICS = ('score',) is to be a tuple of Metric"),
        ("METRICS = 3", " METRICS = 3 is to be a tuple of Metric"),
        ("METRICS = METRICS * 2", " METRICS declares score twice"),
    ],
)
def test_an_answer_of_another_type_is_told_at_the_line_of_the_hook(tmp_path: Path, hook: str, told: str) -> None:
    def asked() -> None:
        made = kind(tmp_path, hook)
        params = made.module.Params()
        made.num_ranks(params)
        made.is_seeded(params)
        made.data(params, tmp_path)

    with pytest.raises(PapergenError, match=re.escape(f"mine.py:{told}")):
        asked()
