"""ctx.scratch: what an attempt leaves for the next one, and how it goes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from commands import papergen, results, start, wait_for
from fakes import FAKE_KIND

from papergen.core.phrase import Phrase
from papergen.experiment.project import open_project

COUNTING = FAKE_KIND.replace(
    "def run(params, ctx):",
    """
def run(params, ctx):
    import time
    from papergen.core.files import write_json, read_json
    memo = ctx.scratch / "memo.json"
    found = read_json(memo) if memo.exists() else 0
    write_json(memo, found + 1)
    ctx.fact("attempts_before", found)
    if params.size == 5 and found == 0:
        FIRST_TIME
""",
)


def scratch_files(project: Path) -> list[str]:
    root = project / "results" / ".scratch"
    return sorted(path.relative_to(root).parts[1].rpartition("-")[0] for path in root.rglob("memo.json"))


def attempts_before(project: Path) -> dict[str, int]:
    return {
        f"{item['trial']['row']} {item['trial']['seed']}": item["outcome"]["facts"]["attempts_before"]  # type: ignore[index]
        for item in results(project)
    }


@pytest.mark.parametrize("launcher", ["local", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_failed_attempt_leaves_its_scratch_and_the_published_trial_none(project: Path, launcher: str) -> None:
    (project / "experiments" / "fake.py").write_text(COUNTING.replace("FIRST_TIME", "raise OSError('no more')"))
    failed = papergen("run-exp", "--launcher", launcher, cwd=project)
    assert failed.returncode == 1
    assert scratch_files(project) == ["large-seed0", "large-seed1"]
    mended = papergen("run-exp", "--launcher", launcher, cwd=project)
    assert mended.returncode == 0, mended.stderr
    assert attempts_before(project) == {"fixed 0": 0, "large 0": 1, "large 1": 1, "small 0": 0, "small 1": 0}
    assert scratch_files(project) == []


def test_a_killed_run_leaves_its_scratch(project: Path) -> None:
    (project / "experiments" / "fake.py").write_text(COUNTING.replace("FIRST_TIME", "time.sleep(60)"))
    process = start(project)
    wait_for(lambda: scratch_files(project) == ["large-seed0"])
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert scratch_files(project) == ["large-seed0"]
    again = papergen("run-exp", "--only", "large", "--seeds", "0", cwd=project)
    assert again.returncode == 0, again.stderr
    assert attempts_before(project)["large 0"] == 1


def test_other_code_finds_an_empty_scratch_and_clean_removes_the_old_one(project: Path) -> None:
    (project / "experiments" / "fake.py").write_text(COUNTING.replace("FIRST_TIME", "raise OSError('no more')"))
    papergen("run-exp", "--only", "large", "--seeds", "0", cwd=project)
    assert scratch_files(project) == ["large-seed0"]
    kept = papergen("results", "clean", cwd=project)
    assert kept.returncode == 0, kept.stderr
    assert "keep" in kept.stdout
    assert "removed" not in kept.stdout
    edited = COUNTING.replace("FIRST_TIME", "raise OSError('changed')")
    (project / "experiments" / "fake.py").write_text(edited)
    papergen("run-exp", "--only", "large", "--seeds", "0", cwd=project)
    assert scratch_files(project) == ["large-seed0", "large-seed0"]
    listed = papergen("results", "clean", "--dry-run", cwd=project)
    assert listed.stdout.count("would remove") == 2, "the scratch and the failure under the old code"
    assert scratch_files(project) == ["large-seed0", "large-seed0"]
    papergen("results", "clean", cwd=project)
    assert scratch_files(project) == ["large-seed0"]
    papergen("results", "clean", "--all", cwd=project)
    assert scratch_files(project) == []


def test_why_a_row_cannot_run_is_recorded_in_both_languages(project: Path) -> None:
    opened = open_project(project)
    reason = Phrase("It needs two GPUs.", "需要两块 GPU。")
    opened.store.set_unavailable(opened.trials[0], reason, device="cpu", hostname="here")
    found = opened.store.unavailable(opened.trials[0])
    assert isinstance(found, Phrase)
    assert (found, found.zh) == (reason, reason.zh)


def test_notes_of_rows_that_cannot_run_go_when_the_plan_has_them_no_more(project: Path) -> None:
    opened = open_project(project)
    trial = opened.trials[0]
    opened.store.set_unavailable(trial, "It needs two GPUs.", device="cpu", hostname="here")
    note = opened.store.unavailable_run(trial).folder
    assert "keep" in papergen("results", "clean", cwd=project).stdout
    assert note.is_dir()
    yaml = project / "experiments" / "first.yaml"
    yaml.write_text(yaml.read_text(encoding="utf-8").replace("seeds: [0", "seeds: [7"), encoding="utf-8")
    assert trial.digest not in {known.digest for known in open_project(project).trials}
    assert "removed" in papergen("results", "clean", cwd=project).stdout
    assert not note.exists()
