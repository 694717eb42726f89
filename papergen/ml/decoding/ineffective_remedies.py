"""Remedies against early ends of text that do nothing, tried on transformers itself so that a paper can show it.

papergen refuses them in a strategy; here `model.generate` runs with and without them, greedily, on the same batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from papergen.core.errors import PapergenError
from papergen.ml.decoding.batching import padded
from papergen.ml.decoding.measure import Continuation
from papergen.ml.decoding.settings import DecodingSettings
from papergen.ml.decoding.tokens import tokens_for
from papergen.ml.decoding.trial import Loaded, Texts
from papergen.ml.models import quiet_transformers

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Tried:
    """Greedy continuations up to and including EOS, with the remedy and without it."""

    with_remedy: list[Ids]
    without: list[Ids]

    @property
    def changed(self) -> list[bool]:
        """Per prompt, whether the remedy made any difference."""
        return [a != b for a, b in zip(self.with_remedy, self.without, strict=True)]


def arguments(remedy: str, eos: Sequence[int]) -> Mapping[str, Any]:
    """What is handed to `generate` for it."""
    known: Mapping[str, Mapping[str, Any]] = {
        "pad_token_id": {"pad_token_id": eos[0]},
        "bad_words_ids": {"bad_words_ids": [[token] for token in eos]},
        "length_penalty": {"length_penalty": 5.0},
    }
    return known[remedy]


def try_remedy(
    model: Any,
    prompts: Sequence[Sequence[int]],
    remedy: str,
    *,
    eos: Sequence[int],
    pad: int,
    max_new_tokens: int,
    batch_size: int,
) -> Tried:
    """Run transformers' greedy decoding with the remedy and without; neighbouring lengths share a batch."""
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    found: list[dict[int, Ids]] = [{}, {}]
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        inputs = padded([prompts[index] for index in chosen], pad, model)
        for place, extra in enumerate((arguments(remedy, eos), {})):
            options = {"pad_token_id": pad, "do_sample": False, "num_beams": 1, **extra}
            with torch.inference_mode(), quiet_transformers():
                ids = model.generate(**inputs, max_new_tokens=max_new_tokens, eos_token_id=list(eos), **options)
            width = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
            for index, row in zip(chosen, ids[:, width:].tolist(), strict=True):
                end = next((at + 1 for at, token in enumerate(row) if token in eos), len(row))
                found[place][index] = tuple(row[:end])
    ours, theirs = ([one[index] for index in range(len(prompts))] for one in found)
    return Tried(ours, theirs)


def texts_with_remedy(
    loaded: Loaded, prompts: Sequence[Sequence[int]], remedy: str, params: DecodingSettings
) -> tuple[Texts, list[float]]:
    """The continuations with the remedy, and 100 for every prompt whose text it changed, else 0."""
    tokens = tokens_for(params, loaded.model, loaded.tokenizer)
    if not tokens.eos:
        raise PapergenError("This model has no EOS token, so no text ends early.")
    tried = try_remedy(
        loaded.model,
        prompts,
        remedy,
        eos=tokens.eos,
        pad=tokens.pad,
        max_new_tokens=loaded.most_new(params),
        batch_size=params.batch_size,
    )
    found = [
        Continuation(prompt_index=index, ids=ids[:-1] if ids[-1] in tokens.eos else ids, is_ended=ids[-1] in tokens.eos)
        for index, ids in enumerate(tried.with_remedy)
    ]
    return Texts(continuations=found, scored=tried.with_remedy), [100.0 * flag for flag in tried.changed]
