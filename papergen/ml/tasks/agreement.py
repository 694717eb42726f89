"""Whether the stages give what `transformers.pipeline` gives for the same model and inputs, number for number."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from papergen.ml.tasks.stages import Options, Results

TOLERANCE = 1e-4
"""Of probabilities and hidden states: a batch is summed in another order than a single input."""


def pipeline_of(task: str, model: Any, tokenizer: Any) -> Any:
    """The library's own pipeline over the same objects; None for question answering, which version 5 removed."""
    if task == "question-answering":
        return None
    import transformers

    make: Any = transformers.pipeline  # its overloads want the task's name as a literal
    extra = {"aggregation_strategy": "simple"} if task == "token-classification" else {}
    return make(task, model=model, tokenizer=tokenizer, device=model.device, **extra)


def call_pipeline(pipe: Any, task: str, inputs: Sequence[Any], options: Options, *, batch_size: int = 1) -> Results:
    """The pipeline's own results, in the form of the stages'."""
    limits = {"truncation": True, "max_length": options.max_length}
    calls: dict[str, dict[str, Any]] = {
        "text-classification": {"top_k": None, **limits},
        "zero-shot-classification": {
            "candidate_labels": list(options.candidate_labels),
            "hypothesis_template": options.hypothesis_template,
        },
        "token-classification": {},  # cut where the tokenizer says, as zero-shot is
        "fill-mask": {"top_k": options.top_k, "tokenizer_kwargs": limits},
        "text-generation": {
            "max_new_tokens": options.max_new_tokens,
            "do_sample": False,
            "add_special_tokens": False,
            "return_full_text": True,
            "tokenizer_encode_kwargs": limits,
        },
        "feature-extraction": {"tokenize_kwargs": limits, "return_tensors": True},
    }
    with warnings.catch_warnings(), _cutting(pipe.tokenizer, options.max_length):
        warnings.simplefilter("ignore")  # "use a dataset": one by one is what is compared here
        found = pipe(list(inputs), batch_size=batch_size, **calls[task])
    if task == "feature-extraction":
        return [one[0] for one in found]
    return list(found)


@contextlib.contextmanager
def _cutting(tokenizer: Any, max_length: int) -> Iterator[None]:
    """Within it the tokenizer cuts texts at `max_length` tokens where it is not told otherwise."""
    before, tokenizer.model_max_length = tokenizer.model_max_length, max_length
    try:
        yield
    finally:
        tokenizer.model_max_length = before


def largest_difference(ours: Results, theirs: Results) -> float:
    """The largest difference between two numbers that stand at the same place; infinite where anything else differs."""
    return _difference(ours, theirs)


def _difference(a: Any, b: Any) -> float:
    if isinstance(a, bool) or isinstance(b, bool) or isinstance(a, str) or isinstance(b, str):
        return 0.0 if a == b else float("inf")
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        if a.shape != b.shape:
            return float("inf")
        return float((a.float().cpu() - b.float().cpu()).abs().max())
    ours, theirs = _ranking(a), _ranking(b)
    if ours is not None and theirs is not None:
        return _between_rankings(ours, theirs)
    if isinstance(a, dict) and isinstance(b, dict):
        shared = a.keys() & b.keys()
        return max((_difference(a[key], b[key]) for key in shared), default=float("inf"))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        if len(a) != len(b):
            return float("inf")
        return max((_difference(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    return abs(float(a) - float(b))


def _ranking(found: Any) -> dict[Any, float] | None:
    """Name -> score where the result is a list of candidates by score; None where it is not."""
    if isinstance(found, dict) and {"labels", "scores"} <= found.keys():
        return dict(zip(found["labels"], map(float, found["scores"]), strict=True))
    if isinstance(found, list) and found and all(isinstance(one, dict) and "score" in one for one in found):
        for name in ("label", "token"):
            if name in found[0]:
                return {one[name]: float(one["score"]) for one in found}
    return None


def _between_rankings(ours: dict[Any, float], theirs: dict[Any, float]) -> float:
    """Candidates whose scores are equal but for rounding may stand in any order, tokens at the cut for one another."""
    are_tokens = all(isinstance(name, int) for name in (*ours, *theirs))
    if len(ours) != len(theirs) or (ours.keys() != theirs.keys() and not are_tokens):
        return float("inf")
    by_rank = zip(sorted(ours.values()), sorted(theirs.values()), strict=True)
    found = [abs(a - b) for a, b in by_rank]
    for mine, other in ((ours, theirs), (theirs, ours)):
        found += [abs(score - other.get(name, min(other.values()))) for name, score in mine.items()]
    return max(found)
