"""transformers' pipelines taken apart: tokenizer -> model -> post-processing, each stage a call of its own.

The results are those of `transformers.pipeline` (a trial compares them), but for question answering, which transformers
5 removed and which is provided here with the former semantics (`pipelines.QuestionAnswering`). All inputs are tokenized
in one call; the rows go through the model in batches of like length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from papergen.ml.tasks.batching import padded
from papergen.ml.tasks.linear import packed

Results = list[Any]
"""One result per input, in the form of transformers' pipeline of the task."""

AUTO: Mapping[str, str] = {
    "text-classification": "AutoModelForSequenceClassification",
    "zero-shot-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
    "text-generation": "AutoModelForCausalLM",
    "feature-extraction": "AutoModel",
    "question-answering": "AutoModelForQuestionAnswering",
}
"""Pipeline task -> transformers' Auto class."""


@dataclass(frozen=True)
class Asked:
    """A question about a context."""

    question: str
    context: str


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What the tokenizer made of all inputs, not padded, and what the post-processing needs to know of it."""

    inputs: Mapping[str, Sequence[Sequence[int]]]
    """Name of a model's input -> its rows: `input_ids` and, where the model knows two parts, `token_type_ids`."""
    owners: Sequence[int]
    """Row -> index of the input it belongs to; an input may have several rows (windows, labels)."""
    encodings: Sequence[Any] = ()
    """Row -> the tokenizer's own record, with the offsets of the tokens in the text."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(row) for row in self.inputs["input_ids"]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the stages may vary."""

    max_length: int = 128
    padding: str = "longest"
    """"longest": to the longest row of the batch; "max_length": always to `max_length`."""
    top_k: int = 5
    candidate_labels: Sequence[str] = ()
    hypothesis_template: str = "This example is {}."
    doc_stride: int = 32
    max_answer_length: int = 15
    handle_impossible_answer: bool = False
    max_new_tokens: int = 20


class Stages:
    """The three stages of a pipeline with one row per text; others change what differs.

    On a CPU the model's linear layers are packed for oneDNN (`linear.packed`), which changes results by rounding only.
    """

    padding_side = "right"
    batch_factor = 1
    """Batches hold so many times the usual tokens; more where most passes work on one token of each row."""

    def __init__(self, model: Any, tokenizer: Any, options: Options) -> None:
        self.model = packed(model)
        self.tokenizer = tokenizer
        self.options = options

    def tokenize(self, inputs: Sequence[Any]) -> Encoded:
        """Inputs -> ids, in one call of the tokenizer."""
        return self._encode(list(inputs))

    def batch(self, encoded: Encoded, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """Some rows as the model's inputs, (rows, time) each, padded as `options.padding` says."""
        ids = [encoded.inputs["input_ids"][row] for row in rows]
        width = self.options.max_length if self.options.padding == "max_length" else max(map(len, ids))
        fill = {"input_ids": self.tokenizer.pad_token_id}
        made = {
            name: padded([values[row] for row in rows], fill.get(name, 0), width=width, side=self.padding_side)
            for name, values in encoded.inputs.items()
        }
        place = torch.arange(width) if self.padding_side == "right" else torch.arange(width - 1, -1, -1)
        made["attention_mask"] = (place < torch.tensor([[len(row)] for row in ids])).long()
        return {name: tensor.to(self.model.device) for name, tensor in made.items()}

    def forward(self, batch: Mapping[str, torch.Tensor]) -> Any:
        """Ids -> the model's output."""
        return self.model(**batch)

    def read(self, output: Any, encoded: Encoded, rows: Sequence[int]) -> list[Any]:
        """The model's output -> what it says of each of the rows."""
        raise NotImplementedError

    def result(self, said: Sequence[Any], given: Any) -> Any:
        """What was said of the rows of one input -> its result."""
        del given
        return said[0]

    def _encode(self, *texts: Any, **options: Any) -> Encoded:
        made = self.tokenizer(
            *texts,
            truncation=options.pop("truncation", True),
            max_length=self.options.max_length,
            return_attention_mask=False,
            **options,
        )
        owners = made.pop("overflow_to_sample_mapping", range(len(made["input_ids"])))
        return Encoded(inputs=dict(made), owners=owners, encodings=made.encodings)

    @property
    def _labels(self) -> Mapping[int, str]:
        labels: Mapping[int, str] = self.model.config.id2label
        return labels


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Probabilities over the last axis, on the CPU: exp(x - max) / sum, which no logit can overflow."""
    shifted = logits.float().cpu()
    powers = (shifted - shifted.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)
