"""A search whose rows share what they have in common: one sequence per prompt in the cache, a tree told by the mask.

The hypotheses of a prompt are the window of one sequence: every step writes a column for each of them behind the
others, and each sees the prompt and the columns of its own ancestors (the tree attention of SpecInfer, Miao et al.
2024). So the prompt is kept and read once, and a reordering of the hypotheses moves rows of the mask, not keys and
values.
"""

from __future__ import annotations

from typing import Any

import torch

from papergen.ml.decoding.ragged_stepper import takes_ragged_rows
from papergen.ml.decoding.stepper import Stepper, cache_name, rows_of

TIDY_EVERY = 16
"""Steps after which columns that no hypothesis descends from any more are dropped."""


class TreeStepper(Stepper):
    """A stepper for searches in which every prompt has `fan` rows after `fan_out`; a prompt leaves with all of them."""

    def __init__(
        self,
        model: Any,
        ids: torch.Tensor,
        kwargs: dict[str, Any],
        *,
        max_new: int,
        fan: int,
        wants_hidden: bool = False,
    ) -> None:
        self._fan = fan
        self._is_fanned_out = False
        super().__init__(model, ids, kwargs, max_new=max_new * fan, wants_hidden=wants_hidden)
        self._room = self.prompt_width + max_new * fan
        self._live = self.prompt_width
        """Columns in use."""
        self._hidden_from = torch.finfo(model.dtype).min
        self._mask = torch.empty(0)
        """(prompts, fan, room), added to the scores of attention: 0 for what a row sees."""

    def fan_out(self, num_rows: int) -> None:
        """Every prompt becomes so many rows; the cache stays as it is."""
        assert num_rows == self._fan, "room was made for the rows that were announced"
        places = torch.arange(self._room, device=self.ids.device)
        is_prompt = (places >= self.pads[:, None]) & (places < self.prompt_width)
        mask = torch.full(is_prompt.shape, self._hidden_from, dtype=self.model.dtype, device=self.ids.device)
        self._mask = mask.masked_fill(is_prompt, 0.0)[:, None].repeat(1, num_rows, 1)
        self.ids = self.ids.repeat_interleave(num_rows, dim=0)
        self.pads = self.pads.repeat_interleave(num_rows)
        self._is_fanned_out = True

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append `tokens` (rows,) and run them; (rows, vocabulary) float32 logits of the next token."""
        assert self._is_fanned_out, "rows come from prompts"
        self.mark()
        self.ids = torch.cat([self.ids, tokens[:, None]], dim=1)
        if self.num_new % TIDY_EVERY == 0:
            self._tidy()
        own = slice(self._live, self._live + self._fan)
        is_other = ~torch.eye(self._fan, dtype=torch.bool, device=tokens.device)
        # Every hypothesis sees its own new column and none of its siblings'.
        self._mask[:, :, own] = torch.zeros_like(self._mask[:, :, own]).masked_fill_(is_other, self._hidden_from)
        self._live += self._fan
        shape = (len(self._mask), self._fan)
        name = cache_name(self._kwargs)
        inputs = {
            "input_ids": tokens.view(shape),
            "attention_mask": self._mask[:, None, :, : self._live],
            "position_ids": (self.ids.shape[1] - 1 - self.pads).view(shape),
            "use_cache": True,
            name: self._kwargs[name],
        }
        if self._wants_hidden:
            inputs["output_hidden_states"] = True
        outputs = self._run(inputs)
        if self._wants_hidden:
            self.hidden = tuple(states.flatten(0, 1)[:, None] for states in outputs.hidden_states)
        return self._scores(outputs.logits.flatten(0, 1).float())

    def reorder(self, index: torch.Tensor, num_last: int | None = None) -> None:
        """Row i becomes the old row `index[i]` of the same prompt."""
        live = self._mask[:, :, : self._live]
        self._mask[:, :, : self._live] = live.flatten(0, 1)[index].view(live.shape)
        self.ids = self.ids[index]

    def settle(self, best: torch.Tensor) -> None:
        """All rows of a prompt become its row `best` (prompts,); they differed in their last token."""
        prompts = torch.arange(len(best), device=best.device)
        first = self._live - self._fan
        for layer in self._cache_layers:
            layer.move_column(first, first + best)
        self._mask[:, :, first] = 0.0
        self._live = first + 1
        self.ids = self.ids[prompts * self._fan + best].repeat_interleave(self._fan, dim=0)

    def select(self, index: torch.Tensor) -> None:
        """Not for rows of a tree."""
        raise AssertionError("rows of a tree stay with their prompt")

    def keep_prompts(self, kept: torch.Tensor, num_rows: int) -> None:
        """The prompts `kept` (n,) go on, with all their rows; the others leave."""
        rows = rows_of(kept, num_rows)
        self._reorder_cache(kept, is_same_prompt=False)
        self._mask, self.ids, self.pads = self._mask[kept], self.ids[rows], self.pads[rows]

    def _tidy(self) -> None:
        """Drop columns that no row sees, as far as all prompts have such."""
        start = self.prompt_width
        is_seen = (self._mask[:, :, start : self._live] == 0).any(dim=1)  # (prompts, columns)
        # Sync point, once in TIDY_EVERY steps.
        width = int(is_seen.sum(dim=1).max())
        if start + width == self._live:
            return
        kept = start + (~is_seen).to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
        for layer in self._cache_layers:
            layer.gather_columns(start, kept)
        index = kept[:, None].expand(-1, self._fan, -1)
        self._mask[:, :, start : start + width] = self._mask.gather(2, index)
        self._live = start + width


def takes_tree(model: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a search over this model, with the inputs that `generate` prepared, can share what rows have in common.

    Not where heads share keys (grouped-query attention): transformers would copy these for every head of a window.
    """
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    has_own_keys = getattr(config, "num_key_value_heads", None) in {None, heads}
    has_cache = kwargs.get("use_cache", True) and any(hasattr(value, "reorder_cache") for value in kwargs.values())
    return bool(has_own_keys and has_cache and takes_ragged_rows(model))
