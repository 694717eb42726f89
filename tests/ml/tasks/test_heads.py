"""Heads learn, are saved and read back exactly, agree over ranks, and take a backbone only when all of it is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import ranks
import taskslab as lab
import torch
from transformers import AutoModel, BertConfig, BertModel

from papergen.core.errors import PapergenError
from papergen.ml.distributed import Ranks
from papergen.ml.tasks.evaluation import _ratio
from papergen.ml.tasks.heads import auto_class, build_head, load_head, load_tokenizer
from papergen.ml.tasks.pipeline_inputs import load_for
from papergen.ml.tasks.settings import HEADS

ALONE = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "papergen.ml.tasks.task_trial.embedded",
        lambda task: (tuple(lab.examples(task, 24)), tuple(lab.examples(task, 8))),
    )


def run(task: str, folder: Path, **changes: object) -> object:
    return lab.run_alone(lab.settings_of(task, **changes), folder)


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.usefixtures("data")
def test_every_head_runs_from_data_to_scores_and_is_read_back_exactly(task: str, tmp_path: Path) -> None:
    done = run(task, tmp_path)
    assert done.facts["reload_difference"] == 0  # type: ignore[attr-defined]
    assert done.facts["num_test_examples"] == 8  # type: ignore[attr-defined]
    assert len(done.samples) == 8  # type: ignore[attr-defined]
    again = auto_class(task).from_pretrained(tmp_path / "model")
    assert type(again).__name__ == done.facts["head"]  # type: ignore[attr-defined]
    assert all(len(values) == 8 for values in done.units.values())  # type: ignore[attr-defined]
    for name, values in done.units.items():  # type: ignore[attr-defined]
        assert sum(values) / 8 == pytest.approx(done.metrics[name]), name  # type: ignore[attr-defined]
    assert ("loss" in done.units) == (task != "feature_extraction")  # type: ignore[attr-defined]
    assert ("perplexity" in done.units) == (task in {"masked_lm", "causal_lm"})  # type: ignore[attr-defined]
    if task in {"sequence_classification", "question_answering", "multiple_choice", "feature_extraction"}:
        assert len(done.units["baseline"]) == 8  # type: ignore[attr-defined]
    two = run(task, tmp_path / "again")
    assert {k: v for k, v in two.metrics.items() if not k.endswith(("_ms", "_per_s"))} == {  # type: ignore[attr-defined]
        k: v
        for k, v in done.metrics.items()  # type: ignore[attr-defined]
        if not k.endswith(("_ms", "_per_s"))
    }


@pytest.mark.parametrize(
    ("task", "metric", "least"),
    [("sequence_classification", "accuracy", 95), ("token_classification", "entity_f1", 95)],
)
@pytest.mark.usefixtures("data")
def test_what_can_be_learnt_is_learnt(task: str, metric: str, least: float, tmp_path: Path) -> None:
    done = run(task, tmp_path, num_train_epochs=12, learning_rate=1e-2)
    assert done.metrics[metric] >= least  # type: ignore[attr-defined]


def test_what_an_example_contributes_to_a_ratio_is_told_by_leaving_it_out() -> None:
    whole, units = _ratio("loss", [2.0, 4.0, 9.0], [1, 2, 3])
    assert whole == {"loss": 2.5}
    without = [13 / 5, 11 / 4, 6 / 3]
    centre = sum(without) / 3
    assert units["loss"] == pytest.approx([2.5 + 2 * (centre - value) for value in without])
    assert _ratio("loss", [2.0, 4.0], [1, 0])[1] == {}  # not defined without the one that counts


@pytest.mark.parametrize("task", ["sequence_classification", "token_classification", "masked_lm", "causal_lm"])
def test_two_ranks_learn_what_one_learns(task: str) -> None:
    """Targets are spread unevenly over the ranks (unequal lengths), and the loss is still one mean over all of them."""
    alone = lab.tuned_weights(0, 1, task, {})
    both = ranks.start(lab.tuned_weights, 2, task, {})
    for name, weight in alone.items():
        # The models' own losses are computed in float32, so parity ends about there (shared notes on DDP).
        assert np.allclose(both[0][name], weight, atol=2e-5), name
        assert np.array_equal(both[0][name], both[1][name]), name


def test_a_backbone_gives_its_weights_and_only_the_head_is_new(tmp_path: Path) -> None:
    settings = lab.settings_of("sequence_classification")
    encoder = lab.encoder_of(settings, lab.examples("sequence_classification"))
    backbone = build_head(lab.settings_of("masked_lm"), encoder.tokenizer, []).model
    backbone.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    head = load_head(settings, tmp_path, ["a", "b", "c"])
    assert set(head.new_weights) == {
        "bert.pooler.dense.bias",
        "bert.pooler.dense.weight",
        "classifier.bias",
        "classifier.weight",
    }
    assert head.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    for name, weight in backbone.bert.state_dict().items():
        assert torch.equal(head.model.bert.state_dict()[name], weight)
    assert load_tokenizer(tmp_path).mask_token_id == encoder.tokenizer.mask_token_id
    # A head of another size is drawn anew, by name.
    head.model.save_pretrained(tmp_path / "three")
    assert "classifier.weight" in load_head(settings, tmp_path / "three", ["a", "b"]).new_weights


def test_a_backbone_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=32
    )
    BertModel(config).save_pretrained(tmp_path)
    whole = AutoModel.from_pretrained(tmp_path)
    state = {name: value for name, value in whole.state_dict().items() if "layer.1.attention.self.query" not in name}
    whole.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(PapergenError, match=r"lacks weights of the backbone.*query"):
        load_head(lab.settings_of("sequence_classification"), tmp_path, ["a", "b"])
    with pytest.raises(PapergenError, match="there is no such folder"):
        load_head(lab.settings_of("sequence_classification"), tmp_path / "nothing", ["a", "b"])


def test_a_name_of_the_hub_without_a_network_is_one_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for load in (
        lambda: load_tokenizer("nobody/nothing"),
        lambda: load_head(lab.settings_of("masked_lm"), "nobody/nothing", []),
        lambda: load_for("fill-mask", "nobody/nothing", device="cpu", max_length=32),
    ):
        with pytest.raises(PapergenError, match=r"not in the local Hub cache; HF_HUB_OFFLINE is set"):
            load()
