"""Logits only where they are asked for: the projection to the vocabulary is half the work of a small language model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def logits_at(model: Any, places: torch.Tensor) -> Iterator[None]:
    """Within it a call of the model gives (1, n, vocabulary) logits: those of the n true `places`, row by row.

    `places` is (batch, time). It holds for any model whose projection transformers can name (`has_projection`): that is
    given the wanted hidden states alone, and what follows it works on each place by itself.
    """

    def select(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        states, *rest = args
        return (states[places.to(states.device)][None], *rest)

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def has_projection(model: Any) -> bool:
    """Whether transformers can name the layer from hidden states to the vocabulary."""
    return getattr(model, "get_output_embeddings", lambda: None)() is not None
