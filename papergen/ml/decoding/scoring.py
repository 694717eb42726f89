"""Log-probabilities and perplexity of given text under a model, by teacher forcing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from papergen.core.errors import PapergenError


@dataclass(frozen=True)
class Score:
    """What a model thinks of one continuation."""

    log_prob: float
    """Sum of log p(token | prompt, earlier tokens), natural logarithm, in float64."""
    num_tokens: int
    """Tokens scored."""

    @classmethod
    def of(cls, token_log_probs: Sequence[float]) -> Score:
        """That of a continuation with these log-probabilities of its tokens."""
        return cls(math.fsum(token_log_probs), len(token_log_probs))

    @property
    def perplexity(self) -> float | None:
        """The exponential of the mean negative log-probability; None without tokens."""
        return math.exp(-self.log_prob / self.num_tokens) if self.num_tokens else None


def perplexity(scores: Sequence[Score]) -> float | None:
    """That of the corpus: exp of the mean negative log-probability over all tokens, not a mean of perplexities."""
    num_tokens = sum(score.num_tokens for score in scores)
    return math.exp(-math.fsum(score.log_prob for score in scores) / num_tokens) if num_tokens else None


def score_continuations(
    model: Any,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[int]],
    *,
    batch_size: int,
) -> list[Score]:
    """Score `continuations[i]` given `prompts[i]`, both token ids of `model`, EOS included where it is there.

    float32 log-softmax over the vocabulary whatever the model's dtype. Raises PapergenError when a pair does not fit
    the model's positions or a decoder-only model gets an empty prompt.
    """
    assert len(prompts) == len(continuations), "one prompt per continuation"
    model.eval()
    for index, (prompt, continuation) in enumerate(zip(prompts, continuations, strict=True)):
        _check(index, len(prompt), len(continuation), model)
    order = sorted(range(len(prompts)), key=lambda i: -(len(prompts[i]) + len(continuations[i])))
    scores: dict[int, Score] = {index: Score(0.0, 0) for index in order if not continuations[index]}
    pending = [index for index in order if continuations[index]]
    for start in range(0, len(pending), batch_size):
        chosen = pending[start : start + batch_size]
        with torch.inference_mode():
            found = _score_batch(model, [prompts[i] for i in chosen], [continuations[i] for i in chosen])
        scores.update(zip(chosen, found, strict=True))
    return [scores[index] for index in range(len(prompts))]


def score_texts(
    model: Any, tokenizer: Any, prompts: Sequence[str], texts: Sequence[str], *, batch_size: int
) -> list[Score]:
    """Score texts under a separate scorer with its own tokenizer; prompt and continuation are tokenized apart.

    A scorer with a BOS token sees it before the prompt; an empty prompt needs such a token.
    """
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    starts = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    if not model.config.is_encoder_decoder:
        starts = [start if start[:1] == bos else bos + start for start in starts]
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    return score_continuations(model, starts, ids, batch_size=batch_size)


def _check(index: int, num_prompt: int, num_new: int, model: Any) -> None:
    is_encoder_decoder = bool(model.config.is_encoder_decoder)
    if num_prompt == 0 and not is_encoder_decoder:
        raise PapergenError(f"Text {index} has no prompt, so its first token has no probability.")
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    needed = max(num_prompt, num_new) if is_encoder_decoder else num_prompt + num_new
    if window is not None and needed > window:
        raise PapergenError(f"Text {index} has {needed} tokens, more than the {window} positions of the scoring model.")


def _score_batch(model: Any, prompts: list[Sequence[int]], continuations: list[Sequence[int]]) -> list[Score]:
    if model.config.is_encoder_decoder:
        begin = model.generation_config.decoder_start_token_id
        begin = model.config.decoder_start_token_id if begin is None else begin
        ids, mask = _right_padded(prompts, model.device)
        starts = [[begin, *continuation[:-1]] for continuation in continuations]
        decoder_ids, _ = _right_padded(starts, model.device)
        logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids, use_cache=False).logits
        first = [0] * len(prompts)
    else:
        texts = [[*prompt, *continuation] for prompt, continuation in zip(prompts, continuations, strict=True)]
        ids, mask = _right_padded([text[:-1] for text in texts], model.device)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        first = [len(prompt) - 1 for prompt in prompts]
    scores = []
    for row, (start, continuation) in enumerate(zip(first, continuations, strict=True)):
        # Row by row, so that the float32 copy is that of one text.
        own = logits[row, start : start + len(continuation)].float().log_softmax(dim=1)  # (tokens, vocabulary)
        target = torch.tensor(continuation, device=own.device)
        scores.append(Score.of(own.gather(1, target[:, None])[:, 0].double().tolist()))
    return scores


def _right_padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, width) ids and mask; in a causal model what follows a token does not change its probability."""
    width = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[place, : len(row)] = 1
    return ids.to(device), mask.to(device)
