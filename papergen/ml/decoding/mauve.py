"""MAUVE (Pillutla et al. 2021): how near a set of generated texts is to a set of human ones, by a model's features.

An extra (`pip install mauve-text`); the features come from a model that is already here, never from a download.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from papergen.core.errors import MachineError, PapergenError

Features = npt.NDArray[np.float32]


def text_features(model: Any, texts: Sequence[Sequence[int]], *, batch_size: int) -> Features:
    """(texts, size) last hidden state of a decoder-only `model` at the last token of each text (token ids)."""
    if model.config.is_encoder_decoder:
        raise PapergenError("MAUVE takes its features from a decoder-only model, and this one has an encoder.")
    if any(len(text) == 0 for text in texts):
        raise PapergenError("MAUVE: a text without tokens has no features. Leave it out on both sides.")
    model.eval()
    found: list[Features] = []
    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        width = max(len(text) for text in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(batch):
            ids[row, : len(text)], mask[row, : len(text)] = torch.tensor(text, dtype=torch.long), 1
        with torch.inference_mode():
            outputs = model(
                ids.to(model.device), attention_mask=mask.to(model.device), output_hidden_states=True, use_cache=False
            )
        last = mask.sum(dim=1) - 1
        states = outputs.hidden_states[-1].float().cpu()[torch.arange(len(batch)), last]
        found.append(np.asarray(states.numpy(), dtype=np.float32))
    return np.concatenate(found)


def mauve_score(human: Features, generated: Features, *, seed: int) -> float:
    """MAUVE between two sets of features, 0 to 1, higher is nearer; MachineError when mauve-text is not installed.

    Depends on the number of texts and on the model of the features: compare only numbers with both equal.
    """
    try:
        import mauve
    except ImportError as error:
        raise MachineError(
            "MAUVE needs the package mauve-text, which is not installed.", hint="pip install 'papergen[mauve]'"
        ) from error
    outcome = mauve.compute_mauve(p_features=human, q_features=generated, seed=seed, verbose=False)
    score = float(outcome.mauve)
    assert math.isfinite(score), "MAUVE is a number between 0 and 1"
    return score
