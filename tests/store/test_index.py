"""The index follows the folders, whatever is done to them or to it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from plans import finish, plan

from papergen.core.files import read_json
from papergen.experiment.states import assess
from papergen.store.index import Index
from papergen.store.records import SCHEMA
from papergen.store.runs import Run, Store


@pytest.fixture
def store(project: Path) -> Store:
    store = Store(project)
    for trial in plan(project):
        finish(store, trial)
    return store


def labels(store: Store) -> list[str]:
    index = Index(store)
    found = [entry.label for entry in index.entries()]
    index.close()
    return found


ALL = ["first/fixed", "first/large seed 0", "first/large seed 1", "first/small seed 0", "first/small seed 1"]


def test_the_index_knows_every_folder_and_is_made_again_at_will(store: Store) -> None:
    assert labels(store) == ALL
    file = store.root / ".index.sqlite"
    file.unlink()
    assert labels(store) == ALL
    file.write_bytes(b"no database at all" * 100)
    assert labels(store) == ALL
    file.unlink()
    file.mkdir()
    assert labels(store) == ALL, "an index that cannot be written is made in memory"


def test_it_sees_what_came_went_and_changed(store: Store, project: Path) -> None:
    small, large, *_ = plan(project)
    labels(store)
    shutil.rmtree(store.run(small).folder)
    finish(store, large, score=7.0)
    index = Index(store)
    found = {entry.label: entry for entry in index.entries()}
    assert "first/small seed 0" not in found
    assert found["first/large seed 0"].metrics == {"score": 7.0}


def test_folders_copied_from_another_machine_count_at_once(store: Store, tmp_path: Path) -> None:
    from fakes import make_project

    other = make_project(tmp_path / "elsewhere")
    shutil.copytree(store.root / "first", other / "results" / "first")
    assert {item.state for item in assess(Store(other), plan(other))} == {"finished"}


def test_a_damaged_result_is_named_and_run_again_and_never_deleted(store: Store, project: Path) -> None:
    (trial, *_) = plan(project)
    run = store.run(trial)
    run.result_file.write_text(run.result_file.read_text().replace('"score": 1.0', '"score": 9.0'))
    state = assess(store, plan(project))[0]
    assert state.state == "failed"
    assert "the content does not match its hash" in state.reason
    finish(store, trial)
    assert assess(store, plan(project))[0].state == "finished"
    (kept,) = (store.root / ".damaged").iterdir()
    assert read_json(Run(kept).result_file)["outcome"]["metrics"]["score"] == 9.0


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda root: (root / "first" / "notes").mkdir(), "results/first/notes: holds no result.json"),
        (
            lambda root: (
                (root / "first" / "small-seed0-x").mkdir()
                or (root / "first" / "small-seed0-x" / "result.json").write_text("[1]")
            ),
            "not a papergen record",
        ),
        (
            lambda root: next((root / "first").glob("fixed-*")).rename(root / "first" / "renamed"),
            "this result belongs in first/fixed-seed0-",
        ),
    ],
)
def test_foreign_folders_are_named(store: Store, make: object, fault: str) -> None:
    make(store.root)  # type: ignore[operator]
    (found,) = Index(store).faults.values()
    assert fault in found


@pytest.mark.parametrize(("schema", "told"), [(1, "an older papergen"), (99, "a newer papergen")])
def test_a_record_of_another_schema_is_named_with_what_to_do(
    store: Store, project: Path, schema: int, told: str
) -> None:
    run = store.run(plan(project)[0])
    run.result_file.write_text(json.dumps({**json.loads(run.result_file.read_text()), "schema": schema}))
    (fault,) = Index(store).faults.values()
    assert f"written by {told} (schema {schema}; this one reads {SCHEMA})" in fault


def test_ten_thousand_folders_are_read_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = ", ".join(str(seed) for seed in range(10))
    sizes = ", ".join(str(size) for size in range(1, 1001))
    config = f"kind: fake\nseeds: [{seeds}]\nrate: 1e-3\ngrid:\n  size: [{sizes}]\n"
    (project / "experiments" / "first.yaml").write_text(config)
    trials = plan(project)
    store = Store(project)
    for trial in trials:  # thousands of folders quickly: only what the index looks at
        folder = store.root / store.path_of(trial)
        folder.mkdir(parents=True)
    read = []
    entry = Index._entry
    monkeypatch.setattr(Index, "_entry", lambda self, path, **known: read.append(path) or entry(self, path, **known))
    states = assess(store, plan(project))
    assert len(states) == len(read) == 10_000
    assert assess(store, plan(project)) == states
    assert len(read) == 10_000
