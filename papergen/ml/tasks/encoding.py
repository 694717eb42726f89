"""From examples to batches of tensors: what each head is shown, and what it is to answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from papergen.core.errors import PapergenError
from papergen.ml.tasks.batching import padded
from papergen.ml.tasks.compatibility import context_room
from papergen.ml.tasks.examples import Choice, Example, Labelled, Question, Tagged, Text

IGNORED = -100
"""Target that counts for nothing, as in torch's cross-entropy."""
KEEP_SHARE, RANDOM_SHARE = 0.1, 0.1
"""Of the tokens chosen for masking: left as they are, and replaced by a random token (Devlin et al. 2019, 3.1)."""
EVALUATION_SHARE = 0.15
"""Tokens masked in an evaluation, whatever share is masked in training: so that perplexities stay comparable."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One input of the model; a long context makes several."""

    example: int
    """Index of the example it comes from."""
    inputs: Mapping[str, Any]
    """Names of the model's inputs -> lists of token-wise numbers (per option for multiple choice)."""
    targets: Mapping[str, Any]
    """Names of the model's targets -> a number or a list."""
    offsets: Sequence[tuple[int, int] | None] = ()
    """Questions: (start, end) character in the context of each token, None for a token outside it."""
    words: Sequence[int] = ()
    """Tagged words: the indices of those that have a token; one of control characters alone has none."""
    special: Sequence[int] = field(default=())
    """Masked text: 1 where a token must not be masked."""

    @property
    def length(self) -> int:
        """Tokens of the input, of the longest option where there are several."""
        ids = self.inputs["input_ids"]
        return max(map(len, ids)) if isinstance(ids[0], list) else len(ids)


class Encoder:
    """Turns the examples of one task into features and batches."""

    def __init__(
        self,
        task: str,
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        doc_stride: int = 32,
        mlm_probability: float = 0.15,
    ) -> None:
        self.task = task
        self.tokenizer = tokenizer
        self.labels = list(labels)
        self._ids = {label: index for index, label in enumerate(labels)}
        self._max_length = max_length
        self._doc_stride = doc_stride
        self._mlm_probability = mlm_probability
        if task == "masked_lm" and tokenizer.mask_token_id is None:
            raise PapergenError("task = masked_lm: the tokenizer has no mask token. Use causal_lm, or another model.")

    def encode(self, examples: Sequence[Example]) -> list[Feature]:
        """All features, in the order of the examples. An unknown label is an error that names it."""
        questions = [example.question for example in examples if isinstance(example, Question)]
        context_room(self.tokenizer, questions, max_length=self._max_length, doc_stride=self._doc_stride)
        return [feature for index, example in enumerate(examples) for feature in self._features(index, example)]

    def _features(self, index: int, example: Example) -> list[Feature]:
        match example:
            case Text(text):
                return [self._text(index, text)]
            case Labelled(text, label, second):
                inputs = self._tokens(text, second or None)
                return [Feature(example=index, inputs=inputs, targets={"labels": self._id(label)})]
            case Tagged():
                return [self._tagged(index, example)]
            case Choice(context, options, answer):
                rows = [self._tokens(context, option) for option in options]
                stacked = {name: [row[name] for row in rows] for name in rows[0]}
                return [Feature(example=index, inputs=stacked, targets={"labels": answer})]
            case Question():
                return self._windows(index, example)

    def _tokens(self, first: str, second: str | None = None) -> dict[str, list[int]]:
        encoded = self.tokenizer(first, second, truncation=True, max_length=self._max_length)
        return {name: list(values) for name, values in encoded.items()}

    def _text(self, index: int, text: str) -> Feature:
        encoded = self.tokenizer(
            text, truncation=True, max_length=self._max_length, return_special_tokens_mask=self.task == "masked_lm"
        )
        special = encoded.pop("special_tokens_mask", [])
        inputs = {name: list(values) for name, values in encoded.items()}
        return Feature(example=index, inputs=inputs, targets={"labels": list(inputs["input_ids"])}, special=special)

    def _tagged(self, index: int, example: Tagged) -> Feature:
        encoded = self.tokenizer(
            list(example.words), is_split_into_words=True, truncation=True, max_length=self._max_length
        )
        labels: list[int] = []
        answering: list[int] = []
        before: int | None = None
        for word in encoded.word_ids():
            # The first token of a word answers for the word.
            if word is None or word == before:
                labels.append(IGNORED)
            else:
                labels.append(self._id(example.tags[word]))
                answering.append(word)
            before = word
        inputs = {name: list(values) for name, values in encoded.items()}
        return Feature(example=index, inputs=inputs, targets={"labels": labels}, words=answering)

    def _windows(self, index: int, example: Question) -> list[Feature]:
        """A context longer than the model in overlapping windows; a window without the answer points at its start."""
        encoded = self.tokenizer(
            example.question,
            example.context,
            truncation="only_second",
            max_length=self._max_length,
            stride=self._doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        features = []
        for window in range(len(encoded["input_ids"])):
            part = encoded.sequence_ids(window)
            places = encoded["offset_mapping"][window]
            offsets = [tuple(place) if part[at] == 1 else None for at, place in enumerate(places)]
            start, end = _answer_tokens(example, offsets)
            inputs = {
                name: list(encoded[name][window])
                for name in ("input_ids", "token_type_ids", "attention_mask")
                if name in encoded
            }
            features.append(
                Feature(
                    example=index,
                    inputs=inputs,
                    targets={"start_positions": start, "end_positions": end},
                    offsets=offsets,
                )
            )
        return features

    def _id(self, label: str) -> int:
        if label not in self._ids:
            raise PapergenError(
                f"the label {label!r} stands in the test examples and in no training example.",
                hint=f"Labels of training: {', '.join(self.labels[:8])}.",
            )
        return self._ids[label]

    def batch(self, features: Sequence[Feature], *, seed: str | None = None) -> dict[str, torch.Tensor]:
        """Features padded on the right to the longest, as tensors.

        In training `seed` decides what is masked (masked_lm); without one it is an evaluation's mask, always the same.
        """
        inputs = self._padded([feature.inputs for feature in features])
        targets: dict[str, torch.Tensor] = {}
        for name in features[0].targets:
            values = [feature.targets[name] for feature in features]
            targets[name] = padded(values, IGNORED) if isinstance(values[0], list) else torch.tensor(values)
        if self.task == "masked_lm":
            self._mask(inputs, targets, features, seed)
        return {**inputs, **targets}

    def _padded(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        if self.task == "multiple_choice":
            flat = [{name: row[name][i] for name in row} for row in rows for i in range(len(row["input_ids"]))]
            count = len(rows[0]["input_ids"])
            if any(len(row["input_ids"]) != count for row in rows):
                raise PapergenError("multiple_choice: all examples must have the same number of options.")
            return {name: value.view(len(rows), count, -1) for name, value in self._pad_flat(flat).items()}
        return self._pad_flat(rows)

    def _pad_flat(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        fill = {"input_ids": self.tokenizer.pad_token_id}
        return {name: padded([row[name] for row in rows], fill.get(name, 0)) for name in rows[0]}

    def _mask(
        self,
        inputs: dict[str, torch.Tensor],
        targets: dict[str, torch.Tensor],
        features: Sequence[Feature],
        seed: str | None,
    ) -> None:
        """Choose and mask tokens by a generator of each example's own: what is masked does not depend on the batch."""
        ids, labels = inputs["input_ids"], targets["labels"]
        share = EVALUATION_SHARE if seed is None else self._mlm_probability
        for row, feature in enumerate(features):
            maskable = torch.tensor([not flag for flag in feature.special])
            length = len(maskable)
            name = hashlib.sha256(f"{seed or 'evaluation'} {feature.example}".encode()).digest()
            draw = torch.Generator().manual_seed(int.from_bytes(name[:7], "big"))
            chosen = (torch.rand(length, generator=draw) < share) & maskable
            if not chosen.any() and maskable.any():
                chosen[int(torch.nonzero(maskable)[0])] = True  # every example counts
            fate = torch.rand(length, generator=draw)
            words = torch.randint(len(self.tokenizer), (length,), generator=draw)
            labels[row, :length][~chosen] = IGNORED
            ids[row, :length][chosen & (fate >= KEEP_SHARE + RANDOM_SHARE)] = self.tokenizer.mask_token_id
            is_random = chosen & (fate >= KEEP_SHARE) & (fate < KEEP_SHARE + RANDOM_SHARE)
            ids[row, :length][is_random] = words[is_random]


def num_targets(task: str, batch: Mapping[str, torch.Tensor]) -> int:
    """Over how many targets the model's loss is a mean."""
    if task == "causal_lm":
        return int((batch["labels"][:, 1:] != IGNORED).sum())
    if task in {"masked_lm", "token_classification"}:
        return int((batch["labels"] != IGNORED).sum())
    return len(batch["input_ids"])


def _answer_tokens(example: Question, offsets: Sequence[Any]) -> tuple[int, int]:
    """First and last token of the first answer that lies whole in the window; (0, 0) where none does."""
    for start, text in example.answers:
        end = start + len(text)
        inside = [at for at, place in enumerate(offsets) if place and place[0] < end and place[1] > start]
        if inside and offsets[inside[0]][0] <= start and offsets[inside[-1]][1] >= end:
            return inside[0], inside[-1]
    return 0, 0
