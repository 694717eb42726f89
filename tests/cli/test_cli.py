"""The command line as a person meets it: one message, an exit code, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import papergen

from papergen import __version__


def test_version_and_help(tmp_path: Path) -> None:
    assert papergen("--version", cwd=tmp_path).stdout == f"papergen {__version__}\n"
    for arguments in (["--help"], ["-h"], ["run-exp", "-h"]):
        done = papergen(*arguments, cwd=tmp_path)
        assert done.returncode == 0
        assert "Usage: papergen" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["biuld-pdf"], 2, "there is no such command. Did you mean build-pdf?"),
        (["run-exp", "--seed", "1"], 2, "No such option"),
        (
            ["run-exp"],
            2,
            "not inside a paper project (no paper.yaml here or above).\nMake one with `papergen new my-paper`",
        ),
        (["build-pdf"], 2, "not inside a paper project"),
        (["status"], 2, "not inside a paper project"),
    ],
)
def test_bad_input_gets_one_message(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = papergen(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run-exp", "frist"], "frist: there is no experiment of this name in experiments/. Did you mean first?"),
        (["run-exp", "--only", "lrge"], "--only lrge: there is no such row. Did you mean large?"),
        (["run-exp", "--seeds", "1,x"], "--seeds 1,x: write whole numbers with commas"),
        (["run-exp", "-o", "first.sise=3"], "-o first.sise=3: there is no parameter 'sise'. Did you mean size?"),
        (
            ["run-exp", "-o", "first.size=three"],
            "-o first.size=three: size = 'three': input should be a valid integer.",
        ),
        (["run-exp", "--device", "cuda"], "no CUDA GPU"),
        (["run-exp", "--launcher", "locl"], "--launcher locl: there is no such launcher. Did you mean local?"),
    ],
)
def test_bad_requests_inside_a_project(project: Path, arguments: list[str], message: str) -> None:
    done = papergen(*arguments, cwd=project)
    assert done.returncode in {2, 3}
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "results" / "first").exists()
