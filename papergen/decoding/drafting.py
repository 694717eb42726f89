"""Greedy decoding with drafts, by a smaller model or by looking up the text so far: same text, fewer forward passes."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation.streamers import BaseStreamer

from papergen.decoding.models import load_model
from papergen.decoding.processors import Context, Processors
from papergen.decoding.search import Hypothesis
from papergen.decoding.settings import Strategy
from papergen.errors import PapergenError


class _Ours(LogitsProcessor):
    """Our processors behind transformers' interface; drafting runs one prompt at a time, so there is no padding."""

    def __init__(self, processors: Processors, prompt_width: int) -> None:
        self.processors, self.prompt_width = processors, prompt_width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        num_new = input_ids.shape[1] - self.prompt_width
        return self.processors(Context(input_ids, input_ids.new_zeros(len(input_ids)), num_new), scores)


class _Clock(BaseStreamer):
    """Notes when tokens arrive: several at once where a draft was accepted."""

    def __init__(self) -> None:
        self.marks: list[float] = []
        self._has_prompt = False

    def put(self, value: torch.Tensor) -> None:
        """Called once with the prompt, then with the accepted tokens."""
        if self._has_prompt:
            self.marks += [time.perf_counter()] * value.numel()
        self._has_prompt = True

    def end(self) -> None:
        """Nothing is left to note."""


def decode_with_drafts(
    model: Any, inputs: dict[str, torch.Tensor], config: Any, strategy: Strategy, processors: Processors
) -> tuple[Hypothesis, list[float]]:
    """The continuation of the one prompt in `inputs`, without its log-probability, and the clock reading per token."""
    width = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    drafter: dict[str, Any] = {}
    if strategy.assistant_model is not None:
        drafter["assistant_model"] = _assistant(strategy.assistant_model, model)
    else:
        config.prompt_lookup_num_tokens = strategy.prompt_lookup_num_tokens
    clock = _Clock()
    found = model.generate(
        **inputs,
        generation_config=config,
        logits_processor=LogitsProcessorList([_Ours(processors, width)]),
        streamer=clock,
        **drafter,
    )
    return Hypothesis(found[0, width:].tolist(), None), clock.marks


def _assistant(name: str, model: Any) -> Any:
    """The drafting model, loaded once, beside `model`; PapergenError when the two do not share a vocabulary."""
    assistant = _loaded(name, str(model.dtype).removeprefix("torch."), str(model.device))
    own, theirs = (int(m.config.get_text_config().vocab_size) for m in (model, assistant))
    if own != theirs:
        raise PapergenError(
            f"assistant_model {name!r} has a vocabulary of {theirs} tokens, the model one of {own}.",
            hint="Choose an assistant of the same family.",
        )
    return assistant


@lru_cache(maxsize=2)
def _loaded(name: str, dtype: Any, device: str) -> Any:
    return load_model(name, dtype=dtype, device=device)
