"""run-exp on a fake kind: what is run, what is not run again, what a failure leaves."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from commands import marked, papergen, results, start, wait_for
from fakes import FAKE_KIND


def test_runs_once_then_never_again(project: Path) -> None:
    first = papergen("run-exp", cwd=project)
    assert first.returncode == 0, first.stderr
    assert "5 trials finished, 0 failed, 0 were finished before" in first.stdout
    stamps = {path: path.stat().st_mtime_ns for path in (project / "results").rglob("result.json")}
    assert len(stamps) == 5
    second = papergen("run-exp", cwd=project)
    assert second.returncode == 0
    assert "Nothing to run: all 5 trials are finished" in second.stderr
    assert {path: path.stat().st_mtime_ns for path in (project / "results").rglob("result.json")} == stamps


def test_a_result_tells_its_own_story(project: Path) -> None:
    papergen("run-exp", "--only", "large", "--seeds", "1", cwd=project)
    (result,) = results(project)
    assert result["outcome"]["metrics"] == {"score": 11.0, "loss": 2.5}  # type: ignore[index]
    assert result["outcome"]["units"] == {"loss": [1.0, 2.0, 3.0, 4.0]}  # type: ignore[index]
    assert result["outcome"]["series"]["loss"][0] == [0.0, 1.0]  # type: ignore[index]
    provenance = result["provenance"]
    assert provenance["command"][1:] == ["run-exp", "--only", "large", "--seeds", "1"]  # type: ignore[index]
    assert provenance["device"] == "cpu"  # type: ignore[index]
    assert list(result["artifacts"]) == ["samples.jsonl"]  # type: ignore[call-overload]


def test_only_force_and_overrides(project: Path) -> None:
    assert "1 trial finished" in papergen("run-exp", "--only", "first/fixed", cwd=project).stdout
    again = papergen("run-exp", "--only", "fixed", "--force", cwd=project)
    assert "1 trial to run (1 again (--force))" in again.stderr
    changed = papergen("run-exp", "--only", "fixed", "-o", "first.size=3", cwd=project)
    assert changed.returncode == 0, changed.stderr
    assert "These results were made with -o, --preset or --seeds." in changed.stderr
    assert sorted(item["outcome"]["metrics"]["score"] for item in results(project)) == [2.0, 6.0]  # type: ignore[index]


def test_dry_run_prints_the_plan_and_makes_nothing(project: Path) -> None:
    done = papergen("run-exp", "--dry-run", cwd=project)
    assert done.returncode == 0
    assert "run   first/small seed 0" in done.stdout
    assert "5 of 5 trials would be run." in done.stdout
    assert not (project / "results").exists()


def test_a_failed_trial_is_kept_apart_and_the_others_go_on(project: Path) -> None:
    broken = FAKE_KIND.replace(
        "    return {", "    if params.size == 5: raise RuntimeError('the data are on fire')\n    return {"
    )
    (project / "experiments" / "fake.py").write_text(broken)
    done = papergen("run-exp", cwd=project)
    assert done.returncode == 1
    assert "3 trials finished, 2 failed" in done.stdout
    assert "FAILED first/large seed 0: RuntimeError: the data are on fire" in done.stderr
    assert "raise RuntimeError('the data are on fire')" in done.stderr
    logs = list((project / "results" / ".failed").rglob("rank0.log"))
    assert len(logs) == 2
    status = papergen("status", cwd=project)
    assert "failed      first/large seed 0" in status.stdout
    (project / "experiments" / "fake.py").write_text(FAKE_KIND)
    mended = papergen("run-exp", cwd=project)
    assert mended.returncode == 0, mended.stderr
    assert not list((project / "results" / ".failed").rglob("rank0.log"))


def test_a_full_disk_is_the_machines_fault_and_not_the_trials(project: Path) -> None:
    full = "    if params.size == 5: raise OSError(28, 'No space left on device', ctx.folder / 'x')\n    return {"
    (project / "experiments" / "fake.py").write_text(FAKE_KIND.replace("    return {", full))
    done = papergen("run-exp", cwd=project)
    assert done.returncode == 3
    assert "3 trials finished, 2 failed" in done.stdout
    assert done.stderr.endswith("The disk is full: free some space and run the same command again.\n")
    (project / "experiments" / "fake.py").write_text(FAKE_KIND)
    assert papergen("run-exp", cwd=project).returncode == 0


def test_a_trial_whose_upstream_failed_is_skipped_by_name(project: Path) -> None:
    kind = FAKE_KIND.replace(
        "class Params(Base):", "from papergen.experiment.api import From\nclass Params(Base):\n    model: From"
    )
    (project / "experiments" / "taker.py").write_text(kind)
    (project / "experiments" / "second.yaml").write_text("kind: taker\nmodel: {from: first}\n")
    (project / "experiments" / "fake.py").write_text(
        FAKE_KIND.replace("def run(params, ctx):", "def run(params, ctx):\n    1 / 0")
    )
    done = papergen("run-exp", cwd=project)
    assert done.returncode == 1
    assert "skipped second/main seed 0: first/small seed 0 failed" in done.stderr


def test_a_row_that_cannot_run_here_is_recorded_and_not_failed(project: Path) -> None:
    (project / "experiments" / "first.yaml").write_text("kind: fake\nrows:\n  plain: {}\n  gpu: {rate: 7.5}\n")
    (project / "experiments" / "second.yaml").write_text("kind: taker\nmodel: {from: first, row: gpu}\n")
    (project / "experiments" / "taker.py").write_text(
        FAKE_KIND.replace("    size: int", "    model: From\n    size: int").replace("Metric,", "From, Metric,")
    )
    assert "n/a   first/gpu seed 0" in papergen("run-exp", "--dry-run", "--device", "cpu", cwd=project).stdout
    done = papergen("run-exp", "--device", "cpu", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "1 trial finished, 0 failed" in done.stdout
    assert "n/a     first/gpu seed 0: Only GPUs do that." in done.stderr
    assert "skipped second/main seed 0: first/gpu seed 0 cannot run here" in done.stderr
    assert "unavailable first/gpu seed 0" in papergen("status", cwd=project).stdout
    again = papergen("run-exp", "--device", "cpu", cwd=project)
    assert "Nothing to run" in again.stderr


def test_two_at_once_are_refused(project: Path) -> None:
    slow = FAKE_KIND.replace("def run(params, ctx):", "import time\ndef run(params, ctx):\n    time.sleep(30)")
    (project / "experiments" / "fake.py").write_text(slow)
    process = start(project)
    try:
        wait_for(lambda: any((project / "results" / ".running").rglob("trial.json")))
        second = papergen("run-exp", cwd=project)
        assert second.returncode == 2
        assert "another `papergen run-exp` is running here" in second.stderr
        told = papergen("status", "first", "--state", "running", cwd=project).stdout
        assert [line.split("  ")[0] for line in told.splitlines()] == ["running", "4 pending, 1 running"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stopped_run_keeps_what_was_finished_and_leaves_no_process(project: Path, number: int, code: int) -> None:
    slow = FAKE_KIND.replace(
        "def run(params, ctx):",
        "import time\ndef run(params, ctx):\n    if params.size == 5 and ctx.trial.seed: time.sleep(60)",
    )
    (project / "experiments" / "fake.py").write_text(slow)
    process = start(project, PAPERGEN_TEST_MARK=str(project))
    wait_for(lambda: len(results(project)) == 4 and any((project / "results" / ".running").rglob("large*/trial.json")))
    process.send_signal(number)
    assert process.wait(timeout=10) == code
    wait_for(lambda: not marked(str(project)), limit_s=5)
    assert len(results(project)) == 4
    assert "4 finished, 1 pending" in papergen("status", cwd=project).stdout
    (project / "experiments" / "first.yaml").write_text("kind: fake\nseeds: [0, 1]\nrate: 1e-3\nrows:\n  small: {}\n")
    done = papergen("run-exp", cwd=project)
    assert "Nothing to run: all 2 trials are finished" in done.stderr
