"""The set-up of training in words: true of every row, whatever the rows differ in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made import make_provenance

from papergen.experiment.registry import load_kinds
from papergen.latex.text import escape
from papergen.ml.training.setup import method
from papergen.report.parts import View
from papergen.report.results import Results
from papergen.store.records import Outcome, Result, Trial
from papergen.store.runs import Store

KIND = load_kinds(None)["training"]


def said(folder: Path, rows: dict[str, dict[str, Any]], language: str = "en") -> str:
    trials, results = [], {}
    for row, params in rows.items():
        typed: Any = KIND.params.model_validate(params)
        full = typed.model_dump(mode="json", by_alias=True)
        digest = row.encode().hex().ljust(64, "0")[:64]
        trial = Trial(
            experiment="training",
            kind="training",
            row=row,
            seed=0,
            params=full,
            num_ranks=typed.world_size,
            is_seeded=True,
            upstream={},
            parts={"params": full},
            digest=digest,
        )
        trials.append(trial)
        outcome = Outcome(
            metrics={"num_parameters": 544_256.0, "num_steps": 64.0},
            facts={
                "num_characters": 464_970,
                "num_validation_characters": 46_385,
                "vocab_size": typed.vocab_size,
                "backend": "gloo" if typed.world_size > 1 else "none",
            },
        )
        results[digest] = Result(trial=trial, outcome=outcome, provenance=make_provenance(), artifacts={})
    view = View(
        experiment="training",
        results=Results(
            trials=trials,
            results=results,
            states=dict.fromkeys(results, "finished"),
            metrics={"training": KIND.module.METRICS},
            row_labels={"training": KIND.row_labels},
        ),
        store=Store(folder),
        kind=KIND,
        escape=escape,
        language=language,
    )
    return str(method(view))


def test_a_single_process_is_not_said_to_use_ddp(tmp_path: Path) -> None:
    text = said(tmp_path, {"single": {"world_size": 1, "n_layer": 1}})
    assert "DistributedDataParallel" not in text
    assert "backend" not in text
    assert "A single process takes whole batches; the batches follow a shuffle that changes every epoch" in text
    assert "with 1 layer of width 128, 4 heads and" in text


def test_the_backend_is_that_of_the_rows_with_several_processes(tmp_path: Path) -> None:
    text = said(tmp_path, {"single": {"world_size": 1}, "ddp": {}, "four": {"world_size": 4}})
    assert "spreads every batch over 2 and 4 processes (backend gloo)" in text
    assert "and a single process takes whole batches" in text


def test_fsdp_is_called_by_its_name(tmp_path: Path) -> None:
    text = said(tmp_path, {"sharded": {"strategy": "fsdp2"}})
    assert r"FSDP2~\cite{zhao2023fsdp} spreads every batch over 2 processes" in text
    assert "DistributedDataParallel" not in text


def test_what_rows_differ_in_is_said_with_every_value(tmp_path: Path) -> None:
    text = said(
        tmp_path,
        {
            "small": {"n_layer": 2, "learning_rate": 1e-3},
            "large": {"n_layer": 8, "learning_rate": 3e-3},
            "larger": {"n_layer": 12, "learning_rate": 3e-3, "dtype": "bfloat16"},
        },
    )
    assert "with 2, 8, or 12 layers of width 128" in text
    assert r"a peak learning rate of $10^{-3}$ or $3\cdot 10^{-3}$" in text
    assert "in float32 or bfloat16 arithmetic" in text


def test_rows_that_go_another_way_are_named(tmp_path: Path) -> None:
    rows = {"full": {}, "one_order": {"set_epoch": False}, "means_of_ranks": {"loss_average": "ranks"}}
    text = said(tmp_path, rows)
    assert "changes every epoch (the same one in every epoch for one order)" in text
    assert "over all tokens of the step (the mean of the processes' means for means of ranks)" in text
    chinese = said(tmp_path, rows, "zh")
    assert "（固定顺序除外）" in chinese
    assert "（各进程均值中为各进程均值的均值）" in chinese
    assert "the loss is the mean of the processes' means" in said(tmp_path, {"r": {"loss_average": "ranks"}})


def test_a_given_model_stands_beside_a_new_one(tmp_path: Path) -> None:
    text = said(tmp_path, {"new": {}, "given": {"model": "openai-community/gpt2"}})
    assert text.startswith("We train a GPT-2-shaped model")
    assert r"of 1024 tokens and \texttt{openai-community/gpt2} with 544\,256 parameters. " in text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_default_rows(tmp_path: Path, language: str) -> None:
    text = said(tmp_path, {"ddp": {}, "single": {"world_size": 1}}, language)
    assert {"en": "over 2 processes (backend gloo) and a single process takes", "zh": "2 个进程（通信后端为 gloo）"}[
        language
    ] in text
    assert "544\\,256" in text
