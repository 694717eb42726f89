"""What frozen features hold: a linear probe on the mean hidden states of one layer, the model left as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from papergen.core.errors import PapergenError
from papergen.ml.distributed import Ranks
from papergen.ml.tasks.encoding import Encoder
from papergen.ml.tasks.examples import Example
from papergen.ml.tasks.finetuning import on_device

PENALTIES = torch.logspace(-2, 5, 22, dtype=torch.float64)
"""Ridge penalties that are tried, for features of unit variance: from hardly any to one that leaves class shares."""


@torch.inference_mode()
def features_of(
    model: Any, encoder: Encoder, examples: Sequence[Example], *, layer: int, batch_size: int, ranks: Ranks
) -> torch.Tensor:
    """Mean over the real tokens of the hidden states of a layer, (examples, width): 0 the embeddings, -1 the last.

    Of a model of two parts, T5's kind, the encoder is taken.
    PapergenError when the model has no such layer.
    """
    model.eval()
    network = model.get_encoder() if model.config.is_encoder_decoder else model
    features = encoder.encode(examples)
    order = sorted(range(len(features)), key=lambda index: features[index].length)
    rows: dict[int, torch.Tensor] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = on_device(encoder.batch([features[index] for index in chosen]), ranks)
        batch.pop("labels", None)
        if network is not model:
            batch = {name: batch[name] for name in ("input_ids", "attention_mask")}
        states = network(**batch, output_hidden_states=True).hidden_states  # of (batch, time, width)
        if not -len(states) <= layer < len(states):
            raise PapergenError(f"layer = {layer}: the model has 0 (the embeddings) to {len(states) - 1} (the last).")
        mask = batch["attention_mask"][:, :, None].to(states[layer].dtype)
        means = (states[layer] * mask).sum(dim=1) / mask.sum(dim=1)
        rows |= dict(zip(chosen, means.double().cpu(), strict=True))
    return torch.stack([rows[index] for index in range(len(features))])


def linear_probe(train: torch.Tensor, labels: Sequence[str], test: torch.Tensor) -> list[str]:
    """The class of each test row by ridge regression of the classes' indicators on the standardised features.

    The penalty is the one with the least squared error when every training row is left out in turn, which the
    singular values tell without fitting again (Hastie, Tibshirani and Friedman 2009, section 7.10). train and test are
    (rows, width).
    """
    names = sorted(set(labels))
    targets = torch.tensor([[float(label == name) for name in names] for label in labels], dtype=torch.float64)
    mean, deviation = train.mean(dim=0), train.std(dim=0).clamp(min=1e-9)
    shares = targets.mean(dim=0)
    left, values, right = torch.linalg.svd((train - mean) / deviation, full_matrices=False)
    aims = left.T @ (targets - shares)
    least, chosen = float("inf"), PENALTIES[-1]
    for penalty in PENALTIES:
        kept = values**2 / (values**2 + penalty)
        own = (left**2 * kept).sum(dim=1, keepdim=True) + 1 / len(labels)  # how much a row decides of its own fit
        missed = (targets - shares - left @ (kept[:, None] * aims)) / (1 - own).clamp(min=1e-9)
        error = float((missed**2).mean())
        if error < least:
            least, chosen = error, penalty
    weights = right.T @ ((values / (values**2 + chosen))[:, None] * aims)  # (width, classes)
    said = ((test - mean) / deviation) @ weights + shares
    return [names[index] for index in said.argmax(dim=1).tolist()]
