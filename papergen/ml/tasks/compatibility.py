"""Whether a model, its tokenizer and the settings go together: told before the first pass, in the user's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from papergen.core.errors import PapergenError


def fit(model: Any, tokenizer: Any, source: str | Path, *, max_length: int) -> None:
    """Tell the model what padding is where it does not say; PapergenError when it has too few positions."""
    config = model.config.get_text_config()
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = tokenizer.pad_token_id
    longest = positions(model)
    if longest is not None and max_length > longest:
        raise PapergenError(
            f"max_length = {max_length} is more than the {longest} positions of {source}.",
            hint=f"Use max_length: {longest} or less.",
        )


def positions(model: Any) -> int | None:
    """Most tokens that the model can number; None where it numbers any.

    Models of RoBERTa's kind leave the numbers up to that of the padding unused.
    """
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return module.num_embeddings - module.padding_idx - 1
    longest: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return longest


def refuse_foreign_tokens(model: Any, rows: Iterable[Sequence[Any]]) -> None:
    """PapergenError when a token has no embedding: the tokenizer is another model's. Rows hold ids, or rows of them."""
    known: int = model.get_input_embeddings().num_embeddings
    highest = max((_highest(row) for row in rows), default=-1)
    if highest >= known:
        raise PapergenError(
            f"model: its tokenizer gives the token {highest}, and the model knows {known} tokens (vocab_size).",
            hint="Put the tokenizer files of this very model into its folder.",
        )


def _highest(row: Sequence[Any]) -> int:
    return max((_highest(item) if isinstance(item, list | tuple) else item for item in row), default=-1)


def context_room(tokenizer: Any, questions: Iterable[str], *, max_length: int, doc_stride: int) -> None:
    """PapergenError when a question leaves its context so few tokens that windows cannot share `doc_stride`."""
    special = tokenizer.num_special_tokens_to_add(pair=True)
    once = list(dict.fromkeys(questions))
    for question, ids in zip(once, tokenizer(once, add_special_tokens=False)["input_ids"] if once else (), strict=True):
        length = len(ids)
        room = max_length - special - length
        if room <= doc_stride:
            raise PapergenError(
                f"max_length = {max_length}: the question {question[:60]!r} takes {length} tokens and leaves its "
                f"context {max(room, 0)}, of which windows are to share {doc_stride}.",
                hint=f"Use max_length: {length + special + 2 * doc_stride} or more, or a smaller doc_stride.",
            )
