"""What `papergen new` scaffolds of these kinds is planned whole: every row, its data and its models."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import BertConfig, BertForSequenceClassification

from papergen.core.errors import PapergenError
from papergen.experiment.project import open_project
from papergen.paper.scaffold import scaffold


def test_the_scaffold_of_all_three_kinds_is_planned_with_its_backbone(tmp_path: Path) -> None:
    root = scaffold(tmp_path / "paper", experiments=["tasks", "pipeline", "ops"])
    trials = open_project(root).trials
    assert {trial.kind for trial in trials} == {"tasks", "pipeline", "ops"}
    assert {trial.experiment for trial in trials} == {"backbone", "tasks", "pipeline", "ops"}
    assert all(trial.parts["data"] for trial in trials if trial.kind in {"tasks", "pipeline"})


def test_a_pipeline_of_a_local_folder_depends_on_what_the_folder_holds(tmp_path: Path) -> None:
    root = scaffold(tmp_path / "paper", experiments=["pipeline"])
    row = "rows:\n  mine: {task: text-classification, model: models/mine}\n"
    (root / "experiments" / "pipeline.yaml").write_text(f"kind: pipeline\n{row}", encoding="utf-8")
    with pytest.raises(PapergenError, match="model"):
        _ = open_project(root, overrides=["pipeline.rows.mine.model=./none"]).trials
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    BertForSequenceClassification(config).save_pretrained(root / "models" / "mine")

    def digest() -> str:
        return next(trial.digest for trial in open_project(root).trials if trial.kind == "pipeline")

    before = digest()
    assert digest() == before
    BertForSequenceClassification(config).save_pretrained(root / "models" / "mine")
    assert digest() != before
