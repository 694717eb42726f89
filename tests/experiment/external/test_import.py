"""`kind: import`: numbers that exist already become results whose origin is recorded and checked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from commands import papergen
from tracker_files import event_file, mlflow_database, scalar

from papergen.experiment.project import open_project

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "trackers"
"""Written by TensorBoard 2.21 and W&B 0.31 (offline)."""


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "paper.yaml").write_text("title: T\nauthors: [{name: A}]\n")
    return tmp_path


def imported(paper: Path, config: str, files: Mapping[str, str] | None = None) -> None:
    for name, text in (files or {}).items():
        (paper / name).parent.mkdir(parents=True, exist_ok=True)
        (paper / name).write_text(text, encoding="utf-8")
    (paper / "experiments" / "old.yaml").write_text(f"kind: import\n{config}", encoding="utf-8")


def outcomes(paper: Path) -> dict[str, dict[str, object]]:
    done = papergen("run-exp", cwd=paper)
    assert done.returncode == 0, done.stderr
    found = {}
    for path in (paper / "results" / "old").glob("*/result.json"):
        data = json.loads(path.read_text())
        found[f"{data['trial']['row']}/{data['trial']['seed']}"] = data["outcome"]
    return found


def failure(paper: Path) -> str:
    done = papergen("run-exp", cwd=paper)
    assert done.returncode in {1, 2}
    return done.stderr


CSV = "method,seed,test acc,note\nbase,0,0.5,\nbase,1,0.6,x\nours,0,0.7,\nours,1,0.8,y\n"


def test_a_table_is_split_by_row_and_seed_and_the_origin_recorded(paper: Path) -> None:
    config = (
        "source: data/results.csv\nrow: method\nseed: seed\nseeds: [0, 1]\n"
        'metrics: {accuracy: {key: test acc, scale: 100, unit: "%", direction: higher}}\n'
        "rows: {base: {}, ours: {}}\n"
    )
    imported(paper, config, {"data/results.csv": CSV})
    found = outcomes(paper)
    assert {key: item["metrics"] for key, item in found.items()} == {
        "base/0": {"accuracy": 50},
        "base/1": {"accuracy": 60},
        "ours/0": {"accuracy": 70},
        "ours/1": {"accuracy": 80},
    }
    (origin,) = found["ours/1"]["facts"]["origin"]  # type: ignore[index]
    assert origin["path"] == "data/results.csv"
    assert origin["lines"] == "4"
    assert len(origin["sha256"]) == 64
    (paper / "data" / "results.csv").write_text(CSV.replace("0.8", "0.9"))
    states = {(item.state, item.reason) for item in open_project(paper).states()}
    assert states == {("stale", "data: data/results.csv changed")}


def test_one_file_per_run_with_row_and_seed_in_its_name_and_a_curve(paper: Path) -> None:
    lines = "".join(json.dumps({"epoch": n, "eval": {"loss": 1 / n}}) + "\n" for n in (1, 2, 4))
    imported(
        paper,
        "source: runs/{row}-s{seed}/log.jsonl\nstep: epoch\nseeds: [3]\n"
        "metrics: {loss: {key: eval.loss, take: best, direction: lower}}\nrows: {a: {}}\n",
        {"runs/a-s3/log.jsonl": lines, "runs/b-s3/log.jsonl": lines},
    )
    assert outcomes(paper) == {
        "a/3": {
            "metrics": {"loss": 0.25},
            "series": {"loss": [[1, 1], [2, 0.5], [4, 0.25]]},
            "units": {},
            "facts": outcomes_facts(paper),
        }
    }


def outcomes_facts(paper: Path) -> object:
    (path,) = (paper / "results" / "old").glob("*/result.json")
    facts = json.loads(path.read_text())["outcome"]["facts"]
    assert facts["origin"][0]["lines"] == "1-3 (3)"
    return facts


def test_one_value_per_example(paper: Path) -> None:
    imported(paper, "source: p.csv\nmetrics: {ok: {over: items}}\n", {"p.csv": "ok\n1\n0\n1\n1\n"})
    found = outcomes(paper)["main/0"]
    assert found["metrics"] == {"ok": 0.75}
    assert found["units"] == {"ok": [1, 0, 1, 1]}


def test_a_list_deep_inside_a_json_file(paper: Path) -> None:
    data = {"results": {"small": {"mmlu": {"acc": 0.3}}, "large": {"mmlu": {"acc": 0.6}}}}
    imported(
        paper,
        "source: lm.json\nat: results\nrow: name\nmetrics: {mmlu: mmlu.acc}\nrows: {small: {}, large: {}}\n",
        {"lm.json": json.dumps(data)},
    )
    assert {key: item["metrics"] for key, item in outcomes(paper).items()} == {
        "small/0": {"mmlu": 0.3},
        "large/0": {"mmlu": 0.6},
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("source: d.cvs\nmetrics: [x]", "old.yaml:2: source: d.cvs: there is no such file or folder"),
        ("source: d.csv\nmetrics: [x]", "d.csv: has no 'x' for the metric 'x'"),
        (
            "source: d.csv\nmetrics: {x: acc}",
            "source: 4 lines belong to this row and seed (d.csv:2, d.csv:3, d.csv:4, ...). Name what tells",
        ),
        ("source: d.csv\nmetrics: {x: acc}\nrow: methd", "source: has no column 'methd'. Did you mean method?"),
        ("source: d.csv\nmetrics: {x: acc}\nrow: method", "no line has method = main. There are base, ours."),
        ("source: '{name}.csv'\nmetrics: [x]", "old.yaml:2: source: {name} is not known here. Known: {row}, {seed}."),
        ("source: d.csv\nmetrics: {x: method}\nwhere: {method: base, seed: 0}", "method = 'base': not a number."),
        ("source: d.csv\nformat: cvs\nmetrics: [x]", "old.yaml:3: format = 'cvs': input should be 'csv', "),
        ("source: [d.csv, e.json]\nmetrics: [x]", "source: holds files of several kinds (csv, json)."),
    ],
)
def test_faults_name_what_is_wrong_and_what_there_is(paper: Path, config: str, message: str) -> None:
    imported(paper, config + "\n", {"d.csv": CSV.replace("test acc", "acc"), "e.json": "[]"})
    assert message in failure(paper)


def test_rows_are_named_by_the_text_of_their_cells(paper: Path) -> None:
    config = 'source: d.csv\nrow: v\nmetrics: [acc]\nrows: {"1.1": {}, "1.10": {}, "007": {}, "12e5": {}}\n'
    imported(paper, config, {"d.csv": "v,acc\n1.1,10\n1.10,90\n007,7\n12e5,5\n"})
    assert {key: item["metrics"] for key, item in outcomes(paper).items()} == {
        "1.1/0": {"acc": 10},
        "1.10/0": {"acc": 90},
        "007/0": {"acc": 7},
        "12e5/0": {"acc": 5},
    }


def test_a_number_that_means_two_texts_is_an_error_with_both(paper: Path) -> None:
    files = {"d.csv": "v,acc\n1.1,10\n1.10,90\n"}
    imported(paper, "source: d.csv\nwhere: {v: 1.1}\nmetrics: {acc: {over: items}}\n", files)
    assert 'where: v = 1.1 is met by the texts "1.1", "1.10".' in failure(paper)
    imported(paper, 'source: d.csv\nwhere: {v: "1.10"}\nmetrics: {acc: {over: items}}\n')
    assert outcomes(paper)["main/0"]["metrics"] == {"acc": 90}


def test_lines_that_are_left_out_are_counted_in_the_record(paper: Path) -> None:
    files = {"d.csv": "ok,loss\n1,0.5\n,0.4\nNaN,0.3\n0,0.2\n"}
    imported(paper, "source: d.csv\nmetrics: {ok: {over: items}}\n", files)
    assert "d.csv:3: ok has no value (2 of 4 lines)" in failure(paper)
    imported(paper, "source: d.csv\nmissing: drop\nmetrics: {ok: {over: items}}\n")
    found = outcomes(paper)["main/0"]
    assert (found["metrics"], found["facts"]["dropped_lines"]) == ({"ok": 0.5}, {"ok": 2})  # type: ignore[index]


def test_a_resumed_run_is_one_series_by_the_rule_that_the_error_names(paper: Path) -> None:
    files = {"d.csv": "step,loss\n0,5\n1,4\n2,1\n1,3\n2,2\n"}
    config = "source: d.csv\nmetrics: {loss: {take: min}}\n"
    imported(paper, config, files)
    told = failure(paper)
    assert "d.csv:5: loss has step 1 a second time (the first: d.csv:3)." in told
    assert "If they are several runs: name what tells them apart" in told
    imported(paper, f"{config}steps: last\n")
    found = outcomes(paper)["main/0"]
    assert (found["metrics"], found["series"]) == ({"loss": 2}, {"loss": [[0, 5], [1, 3], [2, 2]]})


def test_values_without_a_step_are_no_series_though_other_lines_have_one(paper: Path) -> None:
    lines = [{"step": 1, "loss": 2}, {"step": 2, "loss": 1}, {"acc": 0.5}, {"acc": 0.6}]
    files = {"log.jsonl": "".join(json.dumps(line) + "\n" for line in lines)}
    imported(paper, "source: log.jsonl\nmetrics: [loss, acc]\n", files)
    assert "4 lines belong to this row and seed (log.jsonl:1, log.jsonl:2" in failure(paper)


def test_event_files_of_one_folder_are_one_run(paper: Path) -> None:
    folder = paper / "runs" / "a"
    folder.mkdir(parents=True)
    event_file(folder / "events.out.tfevents.1.h", [scalar(1, b"train/loss", 2), scalar(2, b"train/loss", 1)])
    event_file(folder / "events.out.tfevents.2.h", [scalar(2, b"eval/acc", 0.5)])
    imported(paper, "source: runs\nrow: run\nmetrics: {loss: train/loss, acc: eval/acc}\nrows: {a: {}}\n")
    assert outcomes(paper)["a/0"]["metrics"] == {"loss": 1, "acc": 0.5}


def test_a_trainer_state_has_a_line_of_training_and_one_of_evaluation_at_a_step(paper: Path) -> None:
    history = [
        {"epoch": 1, "loss": 2.0, "step": 10},
        {"epoch": 1, "eval_loss": 2.5, "step": 10},
        {"epoch": 2, "loss": 1.0, "step": 20},
        {"epoch": 2, "eval_loss": 1.5, "step": 20},
        {"epoch": 2, "step": 20, "train_loss": 1.5, "train_runtime": 3.0},
    ]
    state = json.dumps({"best_metric": None, "global_step": 20, "log_history": history})
    for config in ("source: out/trainer_state.json", "source: out/state.json\nat: log_history"):
        imported(paper, f"{config}\nmetrics: [loss, eval_loss, train_loss]\n", {"out/trainer_state.json": state})
        (paper / "out" / "state.json").write_text(state)
        found = outcomes(paper)["main/0"]
        assert found["metrics"] == {"loss": 1, "eval_loss": 1.5, "train_loss": 1.5}
        assert found["series"] == {"loss": [[10, 2], [20, 1]], "eval_loss": [[10, 2.5], [20, 1.5]]}
        shutil.rmtree(paper / "results")


def test_tensorboard_runs(paper: Path) -> None:
    shutil.copytree(GOLDEN / "tensorboard", paper / "tb")
    imported(
        paper,
        "source: tb\nformat: tensorboard\nwhere: {run: 'run-seed{seed}'}\nseeds: [0, 1]\n"
        "metrics: {accuracy: {key: val/acc}, loss: {take: min}}\n",
    )
    found = outcomes(paper)
    assert found["main/1"]["metrics"] == {"accuracy": pytest.approx(1.4), "loss": pytest.approx(0.2)}
    assert found["main/0"]["series"]["loss"][:2] == [[0, 1], [1, 0.5]]  # type: ignore[index]


def test_wandb_offline_runs(paper: Path) -> None:
    shutil.copytree(GOLDEN / "wandb", paper / "wandb")
    first = next(iter(sorted((paper / "wandb").iterdir())))
    (paper / "wandb" / "latest-run").symlink_to(first)
    imported(
        paper,
        "source: wandb/*/*.wandb\nseed: params.seed\nseeds: [0, 1]\nwhere: {params.opt.lr: 0.1}\n"
        "metrics: {loss: {take: last}, accuracy: val.acc}\n",
    )
    assert {key: item["metrics"] for key, item in outcomes(paper).items()} == {
        "main/0": {"loss": 0.25, "accuracy": 3},
        "main/1": {"loss": 1.25, "accuracy": 3},
    }


def test_an_mlflow_folder_and_an_mlflow_database_say_the_same(paper: Path) -> None:
    for seed in (0, 1):
        run = paper / "mlruns" / "7" / f"id{seed}"
        for name, text in {
            "meta.yaml": f"run_id: id{seed}\nrun_name: r{seed}\nexperiment_id: '7'\nlifecycle_stage: active\n",
            "metrics/val/acc": f"1700000000000 0.{seed}5 0\n1700000000001 0.{seed}7 10\n",
            "params/seed": str(seed),
            "tags/mlflow.runName": f"r{seed}",
        }.items():
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text(text)
    (paper / "mlruns" / "7" / "meta.yaml").write_text("experiment_id: '7'\nname: e\n")
    config = "metrics: {accuracy: val/acc}\nseed: params.seed\nseeds: [0, 1]\n"
    imported(paper, "source: mlruns\n" + config)
    expected = {"main/0": {"accuracy": 0.07}, "main/1": {"accuracy": 0.17}}
    assert {key: item["metrics"] for key, item in outcomes(paper).items()} == expected
    script = "".join(
        f"INSERT INTO runs VALUES ('id{seed}', 'r{seed}', 7, 'active', {seed});"
        f"INSERT INTO params VALUES ('seed', '{seed}', 'id{seed}');"
        f"INSERT INTO metrics VALUES ('val/acc', 0.{seed}5, 1, 'id{seed}', 0, 0);"
        f"INSERT INTO metrics VALUES ('val/acc', 0.{seed}7, 1, 'id{seed}', 10, 0);"
        for seed in (0, 1)
    )
    mlflow_database(paper / "mlflow.db", script)
    imported(paper, "source: mlflow.db\n" + config)
    shutil.rmtree(paper / "results")
    assert {key: item["metrics"] for key, item in outcomes(paper).items()} == expected


def test_two_runs_of_one_name_are_not_one(paper: Path) -> None:
    script = "".join(
        f"INSERT INTO runs VALUES ('id{n}', 'same', 7, 'active', {n});"
        f"INSERT INTO metrics VALUES ('loss', {n}, 1, 'id{n}', {n}, 0);"
        for n in (1, 2)
    )
    mlflow_database(paper / "mlflow.db", script)
    imported(paper, "source: mlflow.db\nmetrics: [loss]\nrow: run\nrows: {same: {}}\nsteps: last\n")
    assert "2 lines belong to this row and seed" in failure(paper)
