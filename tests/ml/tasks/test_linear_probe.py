"""The linear probe: ridge regression whose penalty leave-one-out chooses, counted again the long way."""

from __future__ import annotations

from typing import Any

import pytest
import taskslab as lab
import torch
from pydantic import ValidationError

from papergen.core.errors import PapergenError
from papergen.ml.distributed import Ranks
from papergen.ml.tasks.heads import build_head
from papergen.ml.tasks.linear_probe import PENALTIES, features_of, linear_probe
from papergen.ml.tasks.settings import HEADS

ALONE = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")


def clusters(count: int, draw: torch.Generator, width: int = 6) -> tuple[torch.Tensor, list[str]]:
    """Points of three classes that lie on a line under a shift and a large common part: no class mean is near."""
    numbers = torch.arange(count) % 3
    points = torch.randn(count, width, generator=draw, dtype=torch.float64)
    points[:, 0] = 100 + 0.01 * points[:, 0]
    points[:, 1] = 50 * (numbers == 1) + 0.1 * points[:, 1]
    points[:, 2] = 0.5 * (numbers == 2) + 0.1 * points[:, 2]
    return points, ["abc"[number] for number in numbers]


def test_classes_that_a_plane_divides_are_told_apart_whatever_the_scale_of_the_features() -> None:
    draw = torch.Generator().manual_seed(0)
    (train, labels), (test, gold) = clusters(60, draw), clusters(30, draw)
    assert linear_probe(train, labels, test) == gold


def test_features_that_hold_nothing_give_about_chance() -> None:
    draw = torch.Generator().manual_seed(0)
    train, test = (torch.randn(300, 20, generator=draw, dtype=torch.float64) for _ in range(2))
    labels = ["ab"[int(x)] for x in torch.randint(2, (300,), generator=draw)]
    found = linear_probe(train, labels, test)
    gold = ["ab"[int(x)] for x in torch.randint(2, (300,), generator=draw)]
    assert 0.4 < sum(a == b for a, b in zip(gold, found, strict=True)) / 300 < 0.6


def test_the_penalty_is_the_one_that_leaving_every_row_out_in_turn_chooses() -> None:
    draw = torch.Generator().manual_seed(3)
    train, test = (torch.randn(24, 8, generator=draw, dtype=torch.float64) for _ in range(2))
    labels = ["a" if float(row[0] + row[1]) > 0 else "b" for row in train]
    standard = (train - train.mean(dim=0)) / train.std(dim=0)
    asked = (test - train.mean(dim=0)) / train.std(dim=0)
    target = torch.tensor([[float(label == "a"), float(label == "b")] for label in labels], dtype=torch.float64)

    def said(rows: torch.Tensor, aims: torch.Tensor, at: torch.Tensor, penalty: float) -> torch.Tensor:
        """Ridge regression with a free intercept, by the normal equations."""
        wide = torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], dim=1)
        fine = penalty * torch.eye(wide.shape[1], dtype=torch.float64)
        fine[-1, -1] = 0
        weights = torch.linalg.solve(wide.T @ wide + fine, wide.T @ aims)
        return torch.cat([at, torch.ones(len(at), 1, dtype=torch.float64)], dim=1) @ weights

    def error(penalty: float) -> float:
        total = 0.0
        for out in range(len(labels)):
            kept = [row for row in range(len(labels)) if row != out]
            missed = target[out] - said(standard[kept], target[kept], standard[out : out + 1], penalty)[0]
            total += float((missed**2).sum())
        return total

    best = min(map(float, PENALTIES), key=error)
    expected = ["ab"[index] for index in said(standard, target, asked, best).argmax(dim=1).tolist()]
    assert linear_probe(train, labels, test) == expected
    others = {tuple(said(standard, target, asked, float(penalty)).argmax(dim=1).tolist()) for penalty in PENALTIES}
    assert len(others) > 1  # the choice matters


def encoded() -> tuple[Any, Any, Any]:
    settings = lab.settings_of("feature_extraction", num_hidden_layers=2)
    examples = lab.examples("feature_extraction")
    encoder = lab.encoder_of(settings, examples)
    torch.manual_seed(0)
    return build_head(settings, encoder.tokenizer, []).model, encoder, examples


def test_features_are_the_mean_over_the_real_tokens_of_the_layer_asked_for() -> None:
    model, encoder, examples = encoded()
    for layer in (0, 1, -1):
        found = features_of(model, encoder, examples, layer=layer, batch_size=5, ranks=ALONE)
        for example, row in zip(examples, found, strict=True):
            alone = encoder.tokenizer(example.text, return_tensors="pt")
            with torch.inference_mode():
                states = model(**alone, output_hidden_states=True).hidden_states[layer]
            assert torch.allclose(row.float(), states[0].mean(dim=0), atol=1e-5)


def test_a_layer_that_is_not_there_is_told() -> None:
    model, encoder, examples = encoded()
    with pytest.raises(PapergenError, match=r"layer = 3: the model has 0 \(the embeddings\) to 2 \(the last\)"):
        features_of(model, encoder, examples, layer=3, batch_size=5, ranks=ALONE)
    with pytest.raises(ValidationError, match="layer: no effect with task = masked_lm"):
        lab.settings_of("masked_lm", layer=0)


def test_parameters_that_do_nothing_in_a_row_are_known() -> None:
    idle = {task: lab.settings_of(task).idle_params for task in HEADS}
    assert {"learning_rate", "num_train_epochs"} <= idle["feature_extraction"]
    assert "layer" not in idle["feature_extraction"]
    assert "doc_stride" not in idle["question_answering"]
    assert {"layer", "doc_stride"} <= idle["masked_lm"]
    assert not {"learning_rate", "mlm_probability"} & idle["masked_lm"]
