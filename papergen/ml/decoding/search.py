"""What every decoding algorithm gets and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.processors import LengthLimits, Processors, TextState
from papergen.ml.decoding.stepper import Stepper
from papergen.ml.decoding.tokens import Tokens

OPEN_SHARE = 0.75
"""A batch is made smaller when no more than this share of it is still open."""


@dataclass(frozen=True)
class Batch:
    """One batch of prompts, ready to be prefilled, and all that the algorithm must know."""

    stepper: Stepper
    strategy: StrategyParameters
    tokens: Tokens
    limits: LengthLimits
    processors: Processors
    keys: torch.Tensor
    """(prompts, streams) int64 keys of the random streams; one stream per sample, one per prompt in a search."""
    assistant: Stepper | None = None
    """The drafting model on the same prompts, not yet prefilled; None without one."""

    @property
    def device(self) -> torch.device:
        """Where the scores are."""
        return self.stepper.ids.device

    @cached_property
    def eos(self) -> torch.Tensor:
        """(number of EOS tokens,) their ids."""
        return torch.tensor(self.tokens.eos, dtype=torch.long, device=self.device)

    def staying(self, is_done: torch.Tensor) -> torch.Tensor | None:
        """Which prompts (n,) of a search go on when those that are done (prompts,) leave; None while few are done."""
        if not self.stepper.waits:
            return None
        # Sync point, only where the stepper may wait: a smaller batch saves more than the wait costs.
        is_open = ~is_done
        return is_open.nonzero()[:, 0] if int(is_open.sum()) <= OPEN_SHARE * len(is_open) else None

    def process(
        self, logits: torch.Tensor, penalty: torch.Tensor | None = None, rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Scores (rows, vocabulary) of the stepper's rows, or of those in `rows`, after the strategy's processors."""
        stepper = self.stepper
        ids, pads = stepper.ids, stepper.pads
        if rows is not None:
            ids, pads = ids[rows], pads[rows]
        return self.processors(TextState(ids, pads, stepper.num_new, penalty), logits)


@dataclass(frozen=True)
class Hypothesis:
    """One continuation that an algorithm found."""

    ids: list[int]
    """New tokens; whatever follows the first EOS is cut off by the caller."""
    log_prob: float | None
    """Sum of the model's own log-probabilities of `ids`; None when the algorithm does not see them all."""
    score: float | None = None
    """What a search ranked it by; not a log-probability."""
    is_met: bool | None = None
    """Whether all forced words are in `ids`; None without forced words."""
    num_drafted: int | None = None
    """Tokens that were guessed; None without drafts, as the next two."""
    num_accepted: int | None = None
    """Guesses that became text."""
    num_passes: int | None = None
    """Forward passes of the model, the prefill included."""
