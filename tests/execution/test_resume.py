"""What was finished survives a kill at the worst moment, a power cut and a full disk, and is not run again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import papergen, results
from fakes import FAKE_KIND
from plans import finish, plan, provenance

from papergen.core.errors import MachineError, PapergenError
from papergen.core.files import write_json
from papergen.store.maintenance import copy_renamed, recover
from papergen.store.runs import Store


class PowerCutError(Exception):
    pass


def attempted(store: Store, project: Path, score: float = 2.0) -> Any:
    (trial, *_) = plan(project)
    run = store.begin(trial)
    write_json(run.outcome_file, {"metrics": {"score": score}, "units": {}, "series": {}, "facts": {}})
    return trial


@pytest.mark.parametrize("is_forced", [False, True], ids=["new", "--force"])
def test_a_kill_at_any_rename_loses_no_finished_trial(
    project: Path, monkeypatch: pytest.MonkeyPatch, is_forced: bool
) -> None:
    """The process ends before its n-th rename, for every n; then the next run-exp recovers."""
    rename = Path.rename
    for last in range(1, 5):
        shutil.rmtree(project / "results", ignore_errors=True)
        store = Store(project)
        if is_forced:
            finish(store, plan(project)[0], score=1.0)
        trial = attempted(store, project)
        renames = 0

        def counted(path: Path, target: Path, last: int = last) -> Path:
            nonlocal renames
            renames += 1
            if renames == last:
                raise PowerCutError
            return rename(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", counted)
            try:
                store.publish(trial, provenance())
            except PowerCutError:
                pass
            else:
                assert last > renames
        recover(store)
        found = store.load(trial)
        assert found is not None, f"killed before rename {last}"
        assert found.outcome.metrics["score"] in ({1.0, 2.0} if is_forced else {2.0})
        recover(store)
        assert store.load(trial) == found


def test_a_result_that_was_being_replaced_is_not_taken_for_the_new_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two renames of `--force`; the folder of the old result comes first in the alphabet."""
    store, trial = Store(project), replace(plan(project)[0], experiment="zeta")
    finish(store, trial, score=1.0)
    run = store.begin(trial)
    write_json(run.outcome_file, {"metrics": {"score": 2.0}, "units": {}, "series": {}, "facts": {}})
    rename = Path.rename

    def killed_at_the_second(path: Path, target: Path) -> Path:
        if path == run.folder:
            raise PowerCutError
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed_at_the_second)
        with pytest.raises(PowerCutError):
            store.publish(trial, provenance())
    assert store.load(trial) is None
    recover(store)
    found = store.load(trial)
    assert found is not None
    assert found.outcome.metrics["score"] == 2.0


@pytest.mark.parametrize("content", ["[]", "5", '{"x": 1}'])
def test_a_record_of_another_shape_is_no_traceback(project: Path, content: str) -> None:
    store, trial = Store(project), plan(project)[0]
    for run in (store.unavailable_run(trial), store.failed(trial)):
        run.folder.mkdir(parents=True)
    store.failed(trial).failure_file.write_text(content)
    store.unavailable_run(trial).unavailable_file.write_text(content)
    for ask in (store.failure, store.unavailable):
        with contextlib.suppress(PapergenError):
            assert ask(trial) is not None


def test_every_byte_is_on_the_disk_before_the_name_that_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that a power cut needs: contents, result.json, rename, the folder that holds the name."""
    store = Store(project)
    trial = attempted(store, project)
    store.attempt(trial).samples_file.write_text('{"text": "x"}\n' * 30_000)
    done: list[tuple[str, str]] = []
    fsync, rename = os.fsync, Path.rename

    def synced(handle: int) -> None:
        done.append(("fsync", Path(f"/proc/self/fd/{handle}").readlink().name))
        fsync(handle)

    def renamed(path: Path, target: Path) -> Path:
        done.append(("rename", path.name))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    store.publish(trial, provenance())
    names = [name if not name.startswith(".") else name.lstrip(".").split(".tmp")[0] for _, name in done]
    at = next(index for index, (what, name) in enumerate(done) if what == "rename" and name == trial.folder_name)
    assert any(name.startswith("samples.jsonl.gz") for name in names[:at])
    assert any(name.startswith("result.json") for name in names[:at])
    assert ("fsync", trial.folder_name) in done[:at], "the names inside the folder"
    assert [name for what, name in done[at + 1 :] if what == "fsync"] == ["first", "results"]


@pytest.fixture
def small_disk(project: Path) -> Iterator[Path]:
    """The project, its results on a file system of 2 MiB."""
    results_folder = project / "results"
    results_folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(results_folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield project
    subprocess.run(["umount", "--lazy", str(results_folder)], check=True)


def test_a_full_disk_ends_with_one_message_and_what_was_finished_stays(small_disk: Path) -> None:
    big = FAKE_KIND.replace(
        "def run(params, ctx):",
        "def run(params, ctx):\n    if params.size == 5:\n        (ctx.folder / 'big').write_bytes(bytes(3 << 20))\n",
    )
    (small_disk / "experiments" / "fake.py").write_text(big)
    done = papergen("run-exp", cwd=small_disk)
    assert done.returncode in {1, 3}
    assert "No space left on device" in done.stderr or "the disk is full" in done.stderr
    assert "Traceback (most recent call last)" not in done.stderr.split("FAILED")[0]
    finished = {item["trial"]["row"] for item in results(small_disk)}  # type: ignore[index]
    assert "small" in finished
    stamps = {path: path.stat().st_mtime_ns for path in (small_disk / "results").glob("first/small-*/result.json")}
    remount = ["mount", "-o", "remount,size=32m", str(small_disk / "results")]
    subprocess.run(remount, check=True)
    again = papergen("run-exp", cwd=small_disk)
    assert again.returncode == 0, again.stderr
    assert len(results(small_disk)) == 5
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, "what was finished was not run again"


def test_a_record_that_does_not_fit_leaves_no_half_file(small_disk: Path) -> None:
    target = small_disk / "results" / "record.json"
    write_json(target, {"old": 1})
    with pytest.raises(MachineError, match="the disk is full"):
        write_json(target, {"new": "x" * (3 << 20)})
    assert target.read_text() == '{\n  "old": 1\n}\n'
    assert [path.name for path in target.parent.iterdir()] == ["record.json"]


def test_a_renamed_row_is_the_same_trial_and_keeps_its_result(project: Path) -> None:
    store = Store(project)
    trial = plan(project)[0]
    finish(store, trial, score=3.0)
    (store.run(trial).folder / "model.txt").write_text("weights")
    (project / "experiments" / "first.yaml").write_text(
        (project / "experiments" / "first.yaml").read_text(encoding="utf-8").replace(f"{trial.row}:", "renamed:"),
        encoding="utf-8",
    )
    (renamed,) = [other for other in plan(project) if other.digest == trial.digest]
    assert renamed.row == "renamed"
    assert copy_renamed(store, plan(project)) == [(renamed, trial.label)]
    again = store.load(renamed)
    assert again is not None
    assert again.trial == renamed
    assert again.outcome.metrics["score"] == 3.0
    assert (store.run(renamed).folder / "model.txt").read_text() == "weights"
    assert store.load(trial) is not None
    assert copy_renamed(store, plan(project)) == []
