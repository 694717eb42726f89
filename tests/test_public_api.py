"""What `from papergen import ...` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import papergen
from papergen.testing import run_once

KIND = """
import papergen
from papergen import Context, Metric

class Params(papergen.Params):
    pass

METRICS = (Metric(name="seed", label="Seed"),)

def run(params, ctx: Context):
    return {"seed": ctx.seed}
"""


def test_every_public_name_is_there_and_listed() -> None:
    for name in papergen.__all__:
        assert getattr(papergen, name) is not None
        assert name in dir(papergen)


def test_the_names_of_the_guide_are_public() -> None:
    assert {"Params", "Metric", "Context", "From", "Input", "Phrase", "WORDS_ONLY"} == set(papergen.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Parms'"):
        papergen.Parms  # noqa: B018
    with pytest.raises(ImportError):
        exec("from papergen import Parms", {})


def test_import_papergen_alone_loads_nothing_of_it() -> None:
    code = "import sys, papergen; print(sorted(n for n in sys.modules if n.startswith(('papergen.', 'pydantic'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_type_checker_sees_the_public_names(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import papergen\nfrom papergen import Context, Input\n"
        "class Params(papergen.Params):\n    file: Input\n"
        "def run(params: Params, ctx: Context) -> dict[str, float]:\n"
        "    reveal_type(ctx.seed)\n    reveal_type(params.file.path)\n    return {}\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "mine.py"]
    done = subprocess.run(mypy, capture_output=True, text=True, cwd=tmp_path)
    assert 'Revealed type is "int"' in done.stdout, done.stdout
    assert 'Revealed type is "pathlib.Path"' in done.stdout, done.stdout
    assert "error" not in done.stdout, done.stdout


def test_the_seed_is_at_hand_in_a_test_of_an_own_kind(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "paper.yaml").write_text("title: T\nauthors: [{name: A}]\n")
    (tmp_path / "experiments" / "mine.py").write_text(KIND)
    (tmp_path / "experiments" / "study.yaml").write_text("kind: mine\nseeds: [3, 5]\n")
    assert run_once(tmp_path, "study").metrics == {"seed": 3}
    assert run_once(tmp_path, "study", seed=7).metrics == {"seed": 7}
