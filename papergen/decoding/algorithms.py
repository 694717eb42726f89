"""Which algorithm runs a strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from papergen.decoding.beam import beam_search
from papergen.decoding.sampling import sample
from papergen.decoding.search import Search
from papergen.decoding.settings import Strategy


@dataclass(frozen=True)
class Algorithm:
    """A search and the batch size that it demands (None for any)."""

    run: Search
    batch_size: int | None = None


def search_for(strategy: Strategy, model: Any) -> Algorithm:
    """The algorithm of the strategy's mode, ready for `model`; PapergenError when the model cannot run it."""
    match strategy.mode:
        case "greedy" | "sample":
            return Algorithm(sample)
        case "beam" | "beam_sample" | "diverse":
            return Algorithm(beam_search)
    raise NotImplementedError(strategy.mode)
