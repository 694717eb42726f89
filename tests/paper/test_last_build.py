"""The quick answer of build-pdf is given only when nothing that a build read can have changed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from papergen.core import stamps
from papergen.paper import last_build

COMMAND = ["build-pdf", "False"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(stamps, "RACY_NS", 50_000_000)  # longer than the tick of the clock
    monkeypatch.setattr(last_build, "NOISE", last_build.NOISE | {"PYTEST_CURRENT_TEST"})
    project = tmp_path / "论文 a"
    for name in ("paper.yaml", "sections/a.tex", "results/x/result.json", "build/a.pdf"):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1234")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "corpus.txt").write_text("1234")
    time.sleep(0.1)
    # As in a process that starts now: what other tests have imported from files of their own is not recent.
    monkeypatch.setattr(last_build, "_START_NS", time.time_ns())
    recording = last_build.Recording(str(project))
    recording.start()
    (tmp_path / "outside" / "corpus.txt").read_text()
    list((tmp_path / "outside").iterdir())
    recording.finish(COMMAND, "said", "printed", outputs=[project / "build" / "a.pdf"])
    yield project
    recording.stop()


def answer(root: Path) -> tuple[str, str] | None:
    return last_build.last_answer(str(root), COMMAND)


def test_the_answer_is_given_again_when_nothing_changed(root: Path) -> None:
    assert answer(root) == ("said", "printed")
    (root / "build" / "other").write_text("a build may leave more in its own folder")
    assert answer(root) == ("said", "printed")


@pytest.mark.parametrize("name", ["paper.yaml", "sections/a.tex", "results/x/result.json", "../outside/corpus.txt"])
def test_another_content_of_the_same_size_and_time_is_seen(root: Path, name: str) -> None:
    path = root / name
    times = path.stat()
    path.write_text("4321")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert answer(root) is None


@pytest.mark.parametrize(
    "name",
    [
        "new.tex",
        "results/y.json",
        "../outside/new.txt",
        "experiments/mine.py",
        "results/.unavailable/training/a-seed0/unavailable.json",
        "results/.failed/training/a-seed0/failure.json",
    ],
)
def test_a_new_file_where_the_build_looked_is_seen(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("")
    assert answer(root) is None


@pytest.mark.parametrize("name", [".main.tex.swp", ".git/index", "results/.index.sqlite", "results/.running/x"])
def test_what_no_build_reads_is_no_change(root: Path, name: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("")
    assert answer(root) == ("said", "printed")


def test_a_removed_input_or_touched_output_is_seen(root: Path) -> None:
    (root / "build" / "a.pdf").write_text("5678")
    assert answer(root) is None


def test_a_removed_result_is_seen(root: Path) -> None:
    (root / "results" / "x" / "result.json").unlink()
    assert answer(root) is None


def test_another_environment_or_command_is_another_build(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert last_build.last_answer(str(root), ["build-pdf", "True"]) is None
    monkeypatch.setenv("TEXMFHOME", "/elsewhere")
    assert answer(root) is None


def test_a_file_written_a_moment_ago_cannot_be_told_apart_and_is_not_remembered(root: Path) -> None:
    (root / "sections" / "a.tex").write_text("just now")
    recording = last_build.Recording(str(root))
    recording.start()
    recording.finish(COMMAND, "said", "printed", outputs=[])
    assert answer(root) is None


def test_an_edit_during_the_build_is_not_remembered(root: Path) -> None:
    recording = last_build.Recording(str(root))
    recording.start()
    (root / "sections" / "a.tex").write_text("while it ran")
    recording.finish(COMMAND, "said", "printed", outputs=[])
    assert answer(root) is None


def test_damage_is_no_answer(root: Path) -> None:
    Path(last_build.place(str(root))).write_text('{"setting": []')
    assert answer(root) is None


def test_nothing_heavy_is_imported_for_it() -> None:
    code = "import papergen.paper.last_build, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pydantic" not in done.stdout
    assert "yaml" not in done.stdout
