"""Greedy decoding and sampling with the choice of the token inside the step: nothing is left for the host to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from papergen.ml.decoding.processors import TextState
from papergen.ml.decoding.sampling import Choose, draw, likeliest
from papergen.ml.decoding.search import Batch, Hypothesis
from papergen.ml.decoding.static_stepper import StaticStepper
from papergen.ml.decoding.stream import uniforms


def sample_static(batch: Batch, choose: Choose = likeliest) -> list[list[Hypothesis]]:
    """What `sample` finds, by steps of static shape, for a batch whose stepper is a `StaticStepper`.

    A step is a forward pass, the processors, the choice and the bookkeeping. Rows that ended go on unheeded; when at
    most half of them is open the others are dropped, so that few shapes occur.
    """
    stepper = batch.stepper
    assert isinstance(stepper, StaticStepper), "the search for steps of static shape"
    num_prompts, num_samples = batch.keys.shape
    logits, plain = stepper.prefill(), stepper.plain
    if num_samples > 1:
        repeated = torch.arange(num_prompts, device=batch.device).repeat_interleave(num_samples)
        stepper.select(repeated)
        logits, plain = logits[repeated], None if plain is None else plain[repeated]
    texts = _Texts(batch, stepper, choose)
    num_open = stepper.recently(texts.choosing()(logits, plain))
    stepper.mark()
    for _ in range(1, batch.limits.max_new):
        if num_open == 0:
            break
        if num_open is not None and num_open <= (stepper.num_rows + 1) // 2 < stepper.num_rows and stepper.may_shrink:
            texts.shrink()
        num_open = stepper.recently(stepper.run(texts.key, texts.stepping))
        stepper.mark()
    found = texts.hypotheses()
    return [found[start : start + num_samples] for start in range(0, len(found), num_samples)]


class _Texts:
    """The texts of a batch: what is open lies in the stepper's buffers, what was left behind is kept here."""

    def __init__(self, batch: Batch, stepper: StaticStepper, choose: Choose = likeliest) -> None:
        self.batch, self.stepper, self.buffers, self.choose = batch, stepper, stepper.buffers, choose
        keys = batch.keys.flatten()
        rows = len(keys)
        self.key = ("sample", batch.strategy.model_dump_json(), batch.tokens, batch.limits)
        """What decides a step beside the stepper's own."""
        self.buffers.num_new.zero_()
        self.keys[:rows] = keys
        self.places[:rows] = torch.arange(rows, device=batch.device)
        self.log_probs[:rows] = 0.0
        self.is_open[:rows] = True
        self._ids = torch.full((rows, batch.limits.max_new), -1, dtype=torch.long, device=batch.device)
        self._sums = torch.zeros(rows, dtype=torch.float64, device=batch.device)

    @property
    def keys(self) -> torch.Tensor:
        """Of the random streams; all four are (rows of the buffers,)."""
        return self.buffers.state("keys", torch.long)

    @property
    def places(self) -> torch.Tensor:
        """Which text of the batch each row is."""
        return self.buffers.state("places", torch.long)

    @property
    def log_probs(self) -> torch.Tensor:
        """Sums over the text so far."""
        return self.buffers.state("log_probs", torch.float64)

    @property
    def is_open(self) -> torch.Tensor:
        """Whether no EOS has come yet."""
        return self.buffers.state("is_open", torch.bool)

    def stepping(self) -> Callable[[], torch.Tensor]:
        """A whole step for the present shape, as a function of nothing: it returns how many rows are open."""
        forward, append = self.stepper.forward(self.stepper.num_rows), self.choosing()

        def step() -> torch.Tensor:
            outcome = forward()
            return append(outcome.scores, outcome.plain)

        return step

    def choosing(self) -> Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]:
        """The choice of the next token for the present number of rows, on the buffers alone."""
        buffers, rows = self.buffers, slice(0, self.stepper.num_rows)
        keys, log_probs, is_open = self.keys[rows], self.log_probs[rows], self.is_open[rows]
        ids, pads, token = buffers.ids[rows], buffers.pads[rows], buffers.token[rows]
        processors, draws, eos = self.batch.processors, self.batch.strategy.do_sample, self.batch.eos
        choose = self.choose

        def append(scores: torch.Tensor, plain: torch.Tensor | None) -> torch.Tensor:
            own = scores if plain is None else plain
            processed = processors(TextState(ids, pads, buffers.num_new[0], length=buffers.at[0]), scores)
            # No value is read on the host: the whole step may be one CUDA graph.
            tokens = draw(processed, uniforms(keys, buffers.num_new[0], 1)) if draws else choose(processed)
            chosen = own.gather(1, tokens[:, None])[:, 0].double() - own.logsumexp(dim=1).double()
            log_probs.add_(torch.where(is_open, chosen, 0.0))
            is_open.logical_and_((tokens[:, None] != eos).all(dim=1))
            ids.index_copy_(1, buffers.at, tokens[:, None])
            token.copy_(tokens[:, None])
            buffers.num_new.add_(1)
            return is_open.sum()

        return append

    def shrink(self) -> None:
        """Go on with the open half of the rows."""
        self.keep()
        rows = self.stepper.num_rows
        order = self.is_open[:rows].byte().argsort(descending=True, stable=True)
        self.stepper.select(order[: (rows + 1) // 2])

    def keep(self) -> None:
        """Note the texts as they are."""
        rows, start = self.stepper.num_rows, self.stepper.prompt_width
        num_new = self.stepper.length + 1 - start  # the last token is chosen, but not yet in the cache
        places = self.places[:rows]
        self._ids[places, :num_new] = self.buffers.ids[:rows, start : start + num_new]
        self._sums[places] = self.log_probs[:rows]

    def hypotheses(self) -> list[Hypothesis]:
        """All texts of the batch; what follows an EOS is cut off by the caller."""
        self.keep()
        pairs: list[tuple[Any, Any]] = list(zip(self._ids.tolist(), self._sums.tolist(), strict=True))
        return [Hypothesis([token for token in ids if token >= 0], log_prob) for ids, log_prob in pairs]
