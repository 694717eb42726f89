"""papergen results: shown, filtered, deleted, packed, taken in."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from pathlib import Path

import pytest
from commands import papergen, results
from fakes import FAKE_KIND, make_project
from plans import plan

from papergen.core.errors import PapergenError
from papergen.store.archive import import_results, write_archive
from papergen.store.index import Index
from papergen.store.maintenance import recover
from papergen.store.runs import Run, Store


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose five trials are finished; not to be changed."""
    project = make_project(tmp_path_factory.mktemp("finished") / "my paper 论文")
    assert papergen("run-exp", cwd=project).returncode == 0
    return project


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_results_as_table_json_and_csv(project: Path) -> None:
    shown = papergen("results", cwd=project)
    assert shown.stdout.count("\n") == 5
    assert "first/large seed 1  loss 2.5  score 11" in shown.stdout
    lines = papergen("results", "--only", "first/large", "--json", cwd=project).stdout.splitlines()
    assert [(row["seed"], row["score"], row["params.size"]) for row in map(json.loads, lines)] == [
        (0, 10.0, 5),
        (1, 11.0, 5),
    ]
    text = papergen("results", "--where", "size=1", "--csv", cwd=project).stdout
    table = list(csv.DictReader(io.StringIO(text)))
    assert [(row["row"], row["seed"]) for row in table] == [("fixed", ""), ("small", "0"), ("small", "1")]


def test_results_as_parquet(project: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    assert papergen("results", "--parquet", "out.parquet", cwd=project).returncode == 0
    table = parquet.read_table(project / "out.parquet").to_pylist()
    assert {(row["row"], row["score"]) for row in table} >= {("large", 10.0), ("large", 11.0), ("fixed", 2.0)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results", "--only", "first/lage"], "Did you mean first/large?"),
        (["results", "--where", "sise=1"], "Did you mean size?"),
        (["results", "rm", "first/lage"], "Did you mean first/large?"),
        (["results", "rm", "first/large"], "Add --yes to delete these."),
        (["results", "import", "nowhere"], "there is no such file or folder"),
    ],
)
def test_bad_requests_are_told(project: Path, arguments: list[str], message: str) -> None:
    done = papergen(*arguments, cwd=project)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(results(project)) == 5


def test_old_results_are_shown_on_demand_and_deleted_by_one_word(project: Path) -> None:
    papergen("run-exp", "--only", "fixed", "-o", "first.size=3", cwd=project)
    assert papergen("results", cwd=project).stdout.count("\n") == 5
    assert "(old)" in papergen("results", "--all", cwd=project).stdout
    done = papergen("results", "rm", "old", "--yes", cwd=project)
    assert done.stdout == "1 result deleted\n"
    assert len(results(project)) == 5


def test_a_result_is_deleted_by_its_digest(project: Path) -> None:
    (trial, *_) = plan(project)
    done = papergen("results", "rm", trial.digest[:10], "--yes", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "1 trial to run (1 new)" in papergen("run-exp", cwd=project).stderr


def test_an_archive_goes_elsewhere_and_comes_back_the_same(project: Path, tmp_path: Path) -> None:
    for name in ("one.tar.gz", "two.tar.gz"):
        assert papergen("results", "archive", name, cwd=project).returncode == 0
    assert (project / "one.tar.gz").read_bytes() == (project / "two.tar.gz").read_bytes()
    other = make_project(tmp_path / "other machine")
    taken = papergen("results", "import", str(project / "one.tar.gz"), cwd=other)
    assert taken.stdout == "5 results taken in, 0 were here already, 0 not taken\n", taken.stderr
    assert "Nothing to run: all 5" in papergen("run-exp", cwd=other).stderr
    again = papergen("results", "import", str(project), cwd=other)
    assert again.stdout == "0 results taken in, 5 were here already, 0 not taken\n"
    assert not list((other / "results" / ".running").rglob("*.json"))


def test_what_was_changed_on_the_way_is_not_taken(project: Path, tmp_path: Path) -> None:
    store = Store(make_project(tmp_path / "other"))
    small, other_small, large, other_large, fixed = (Store(project).run(trial).folder for trial in plan(project))
    (small / "samples.jsonl").write_text("{}\n")
    (large / "samples.jsonl").unlink()
    record = json.loads((fixed / "result.json").read_text())
    (fixed / "result.json").write_text(json.dumps({**record, "artifacts": {}}))
    outcome = import_results(store, project / "results")
    assert len(outcome.taken) == 3
    assert list(outcome.incomplete.values()) == [["samples.jsonl"]]
    assert "samples.jsonl: is not the file that the trial made" in "".join(outcome.faults)
    assert "does not match its hash" in "".join(outcome.faults)
    assert other_small.exists()
    assert other_large.exists()


def test_what_a_killed_import_leaves_is_no_finished_trial(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(make_project(tmp_path / "other"))
    seen: list[Path] = []

    def at_fsync(handle: int) -> None:
        seen.extend(store.root.rglob("result.json"))
        assert recover(store) == []

    monkeypatch.setattr("papergen.store.archive.os.fsync", at_fsync)
    import_results(store, Store(project).run(plan(project)[0]).folder)
    assert any(".running" in path.parts for path in seen)


def test_a_broken_archive_is_told(project: Path) -> None:
    store = Store(project)
    write_archive(store, [entry.path for entry in Index(store).entries()], project / "a.tar.gz")
    whole = (project / "a.tar.gz").read_bytes()
    for content in (whole[: len(whole) // 2], b"no archive"):
        (project / "a.tar.gz").write_bytes(content)
        with pytest.raises(PapergenError, match="not a whole archive") as caught:
            import_results(store, project / "a.tar.gz")
        assert "\n" not in str(caught.value)
    assert len(Index(store).finished) == 5


def test_large_samples_are_compressed_and_read_as_before(project: Path) -> None:
    many = FAKE_KIND.replace(
        'ctx.sample(text="a sample")', 'for i in range(9000): ctx.sample(text="a 样本 " * 5, index=i)'
    )
    (project / "experiments" / "fake.py").write_text(many)
    assert papergen("run-exp", "--only", "fixed", cwd=project).returncode == 0
    run = next(Store(project).run(trial) for trial in plan(project) if trial.row == "fixed")
    assert not run.samples_file.exists()
    assert run.stored_samples is not None
    assert [record["index"] for record in run.samples()] == list(range(9000))
    assert b"\n" in gzip.decompress(run.stored_samples.read_bytes())
    assert "samples.jsonl.gz" in json.loads(run.result_file.read_text())["artifacts"]


def test_an_attempt_is_emptied_but_for_the_trial_and_logs_that_go_on(tmp_path: Path) -> None:
    for name in ("trial.json", "rank0.log", "samples.jsonl", "model/weights"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "model")
    Run(tmp_path).clear(keep_logs=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rank0.log", "trial.json"]
    Run(tmp_path).clear()
    assert [path.name for path in tmp_path.iterdir()] == ["trial.json"]
