"""One rank of a decoding trial, importable by name for the processes of `ranks.start`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from papergen.experiment.api import Context
from papergen.ml.decoding.generations import FinishedBatches
from papergen.ml.decoding.settings import DecodingSettings
from papergen.ml.decoding.trial import generated_texts, load, record
from papergen.ml.training.corpus import load_corpus, prompts

MODEL = str(Path(__file__).parents[2] / "oracle" / "model_trained")
NUM_PROMPTS = 13


def trial_rank(
    rank: int, world_size: int, folder: Path, changes: Mapping[str, Any], dies: tuple[int, int] | None = None
) -> dict[str, Any]:
    """What the rank reports of 13 prompts of unequal lengths in batches of 2; `dies` is (rank, after its batches)."""
    events: list[tuple[str, dict[str, Any]]] = []
    given = {"num_prompts": NUM_PROMPTS, "batch_size": 2, "max_new_tokens": 12, **changes}
    params = DecodingSettings(model=MODEL, world_size=world_size, **given)
    ctx = Context(
        trial=SimpleNamespace(seed=3),  # type: ignore[arg-type]
        folder=folder,
        scratch=folder,
        project=folder,
        device="cpu",
        rank=rank,
        local_rank=rank,
        world_size=world_size,
        num_threads=1,
        upstream={},
        emit=lambda kind, data: events.append((kind, data)),
    )
    if dies is not None and rank == dies[0]:
        _die_after(dies[1])
    loaded = load(params, ctx)
    passages = prompts(
        load_corpus(params, folder), loaded.tokenizer, count=NUM_PROMPTS, prompt_tokens=9, reference_tokens=12
    )
    starts = [passage.ids[: 3 + index % 7] for index, passage in enumerate(passages)]
    metrics = record(loaded, passages, starts, generated_texts(loaded, starts, params, ctx), params, ctx)
    return {
        "metrics": metrics,
        "samples": [data for kind, data in events if kind == "sample"],
        "facts": {data["name"]: data["value"] for kind, data in events if kind == "fact"},
        "steps": [(data["done"], data["total"]) for kind, data in events if kind == "step"],
    }


def _die_after(num_batches: int) -> None:
    add, done = FinishedBatches.add, [0]

    def counted(*arguments: Any) -> None:
        if done[0] == num_batches:
            os._exit(9)  # as by kill -9: the batch is generated, and not kept
        add(*arguments)
        done[0] += 1

    FinishedBatches.add = counted  # type: ignore[method-assign]
