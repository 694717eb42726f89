"""transformers' pipelines taken apart: tokenizer -> model -> post-processing, each stage a call of its own.

The results are those of `transformers.pipeline` (a trial compares them), but for question answering, which transformers
5 removed and which is provided here with the former semantics: probabilities of starts and ends over all windows of a
context, answers no longer than a limit and aligned to whole words, and, when asked for, the answer that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from papergen.errors import PapergenError
from papergen.tasks.post import Answer, best_answers, grouped_entities

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
    """What the tokenizer hands to the model, and what the post-processing needs to know of it."""

    tensors: Mapping[str, torch.Tensor]
    """Inputs of the model, (rows, time) each."""
    owners: Sequence[int]
    """Row -> index of the input it belongs to; an input may have several rows (windows, labels)."""
    offsets: Sequence[Any] = ()
    """Row -> (start, end) character of each token, None outside the text that answers may come from."""
    aside: Mapping[str, Any] = field(default_factory=dict)

    @property
    def padding_share(self) -> float:
        """Share of the tokens that are padding, in per cent."""
        mask = self.tensors["attention_mask"]
        return 100.0 * float((mask == 0).sum()) / mask.numel()


class Stages(Protocol):
    """The three stages of one pipeline."""

    def tokenize(self, inputs: Sequence[Any]) -> Encoded: ...  # noqa: D102
    def forward(self, encoded: Encoded) -> Any: ...  # noqa: D102
    def postprocess(self, output: Any, encoded: Encoded, inputs: Sequence[Any]) -> Results: ...  # noqa: D102


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


def stages_of(task: str, model: Any, tokenizer: Any, options: Options) -> Stages:
    """The stages of the pipeline `task`; PapergenError when the model or the options cannot serve it."""
    classes: dict[str, Any] = {
        "text-classification": TextClassification,
        "zero-shot-classification": ZeroShot,
        "token-classification": TokenClassification,
        "fill-mask": FillMask,
        "text-generation": TextGeneration,
        "feature-extraction": FeatureExtraction,
        "question-answering": QuestionAnswering,
    }
    found: Stages = classes[task](model, tokenizer, options)
    return found


class _Base:
    """One row per text, and a plain forward pass."""

    def __init__(self, model: Any, tokenizer: Any, options: Options) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.options = options

    def tokenize(self, inputs: Sequence[Any]) -> Encoded:
        """Texts -> ids and masks."""
        encoded = self._encode(list(inputs), return_offsets_mapping=False)
        return Encoded(tensors=dict(encoded), owners=range(len(inputs)))

    def forward(self, encoded: Encoded) -> Any:
        """Ids -> the model's output."""
        return self.model(**self._on_device(encoded.tensors))

    def _encode(self, *texts: Any, **options: Any) -> Any:
        return self.tokenizer(
            *texts,
            padding=self.options.padding,
            truncation=options.pop("truncation", True),
            max_length=self.options.max_length,
            return_tensors="pt",
            **options,
        )

    def _on_device(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor.to(self.model.device) for name, tensor in tensors.items()}

    @property
    def _labels(self) -> Mapping[int, str]:
        labels: Mapping[int, str] = self.model.config.id2label
        return labels


class TextClassification(_Base):
    """Softmax over the logits; all classes, the most probable first."""

    def postprocess(self, output: Any, encoded: Encoded, inputs: Sequence[Any]) -> Results:
        """Logits -> [{label, score}, ...]."""
        del encoded, inputs
        probabilities = softmax(output.logits)
        return [
            sorted(
                ({"label": self._labels[i], "score": score} for i, score in enumerate(row)),
                key=lambda one: -one["score"],
            )
            for row in probabilities.tolist()
        ]


class ZeroShot(_Base):
    """Every label as a hypothesis about the text; softmax of the entailment logits over labels (Yin et al. 2019)."""

    def __init__(self, model: Any, tokenizer: Any, options: Options) -> None:
        super().__init__(model, tokenizer, options)
        named = {label.lower(): index for index, label in self._labels.items()}
        found = [index for label, index in named.items() if label.startswith("entail")]
        if not found:
            raise PapergenError(
                f"zero-shot-classification needs a model with an entailment class; this one has {', '.join(named)}."
            )
        if not options.candidate_labels:
            raise PapergenError("candidate_labels is missing: zero-shot-classification chooses among them.")
        self._entailment = found[0]

    def tokenize(self, inputs: Sequence[Any]) -> Encoded:
        """One row per text and label."""
        labels = self.options.candidate_labels
        texts = [text for text in inputs for _ in labels]
        hypotheses = [self.options.hypothesis_template.format(label) for _ in inputs for label in labels]
        encoded = self._encode(texts, hypotheses, truncation="only_first")
        return Encoded(tensors=dict(encoded), owners=[i for i in range(len(inputs)) for _ in labels])

    def postprocess(self, output: Any, encoded: Encoded, inputs: Sequence[Any]) -> Results:
        """Logits -> {sequence, labels, scores}, the most probable label first."""
        del encoded
        labels = self.options.candidate_labels
        logits = output.logits[:, self._entailment].view(len(inputs), len(labels))
        found = []
        for text, row in zip(inputs, softmax(logits).tolist(), strict=True):
            order = sorted(range(len(labels)), key=lambda i: -row[i])
            found.append({"sequence": text, "labels": [labels[i] for i in order], "scores": [row[i] for i in order]})
        return found


class TokenClassification(_Base):
    """The most probable tag of every token; neighbouring ones of one type are one entity ("simple" grouping)."""

    def tokenize(self, inputs: Sequence[Any]) -> Encoded:
        """Texts -> ids, with the place of each token in the text."""
        encoded = self._encode(list(inputs), return_offsets_mapping=True, return_special_tokens_mask=True)
        offsets, special = encoded.pop("offset_mapping").tolist(), encoded.pop("special_tokens_mask")
        return Encoded(
            tensors=dict(encoded), owners=range(len(inputs)), offsets=offsets, aside={"special": special.tolist()}
        )

    def postprocess(self, output: Any, encoded: Encoded, inputs: Sequence[Any]) -> Results:
        """Logits -> [{entity_group, score, word, start, end}, ...]."""
        probabilities = softmax(output.logits)
        scores, best = (part.tolist() for part in probabilities.max(dim=-1))
        found = []
        for row in range(len(inputs)):
            kept = [i for i, special in enumerate(encoded.aside["special"][row]) if not special]
            tokens = [(self._labels[best[row][i]], scores[row][i], tuple(encoded.offsets[row][i])) for i in kept]
            ids = [int(encoded.tensors["input_ids"][row, i]) for i in kept]
            found.append(grouped_entities(tokens, ids, self.tokenizer))
        return found


class FillMask(_Base):
    """The most probable tokens for the one mask of each text."""

    def postprocess(self, output: Any, encoded: Encoded, inputs: Sequence[Any]) -> Results:
        """Logits -> [{score, token, token_str, sequence}, ...]."""
        ids = encoded.tensors["input_ids"]
        is_mask = ids == self.tokenizer.mask_token_id
        if not bool((is_mask.sum(dim=1) == 1).all()):
            at = int((is_mask.sum(dim=1) != 1).nonzero()[0])
            raise PapergenError(f"fill-mask: {inputs[at]!r} must hold {self.tokenizer.mask_token} exactly once.")
        places = is_mask.int().argmax(dim=1)
        rows = torch.arange(len(ids))
        probabilities = softmax(output.logits[rows, places.to(output.logits.device)])
        scores, tokens = probabilities.topk(min(self.options.top_k, probabilities.shape[-1]))
        found = []
        for row in range(len(ids)):
            candidates = []
            for score, token in zip(scores[row].tolist(), tokens[row].tolist(), strict=True):
                filled = ids[row].clone()
                filled[places[row]] = token
                real = filled[filled != self.tokenizer.pad_token_id]
                candidates.append(
                    {
                        "score": score,
                        "token": token,
                        "token_str": self.tokenizer.decode([token]),
                        "sequence": self.tokenizer.decode(real, skip_special_tokens=True),
                    }
                )
            found.append(candidates)
        return found


class TextGeneration(_Base):
    """Greedy continuation; prompts are padded on the left, where the padding cannot come between them and the text."""

    def tokenize(self, inputs: Sequence[Any]) -> Encoded:
        """Prompts -> ids, padded on the left."""
        encoded = self._encode(list(inputs), padding_side="left", add_special_tokens=False)
        encoded.pop("token_type_ids", None)
        longest = getattr(self.model.config, "max_position_embeddings", None)
        width = encoded["input_ids"].shape[1]
        if longest is not None and width + self.options.max_new_tokens > longest:
            raise PapergenError(
                f"text-generation: prompts of {width} tokens and max_new_tokens = {self.options.max_new_tokens} are "
                f"more than the {longest} positions of the model.",
                hint=f"Use max_length: {max(1, longest - self.options.max_new_tokens)}.",
            )
        return Encoded(tensors=dict(encoded), owners=range(len(inputs)))

    def forward(self, encoded: Encoded) -> Any:
        """The ids of prompt and continuation."""
        return self.model.generate(
            **self._on_device(encoded.tensors),
            max_new_tokens=self.options.max_new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.pad_token_id,
        )

    def postprocess(self, output: Any, encoded: Encoded, inputs: Sequence[Any]) -> Results:
        """Ids -> [{generated_text}], the prompt in front."""
        width = encoded.tensors["input_ids"].shape[1]
        found = []
        for prompt, row in zip(inputs, output, strict=True):
            text = self.tokenizer.decode(row[width:], skip_special_tokens=True)
            found.append([{"generated_text": prompt + text}])
        return found


class FeatureExtraction(_Base):
    """The last hidden states of the real tokens."""

    def postprocess(self, output: Any, encoded: Encoded, inputs: Sequence[Any]) -> Results:
        """States -> one (tokens, width) list of lists per text."""
        del inputs
        lengths = encoded.tensors["attention_mask"].sum(dim=1).tolist()
        states = output.last_hidden_state.float().cpu()
        return [states[row, :length].tolist() for row, length in enumerate(lengths)]


class QuestionAnswering(_Base):
    """Extractive answers with offsets, windows over long contexts, and the answer that there is none."""

    def tokenize(self, inputs: Sequence[Any]) -> Encoded:
        """One row per window of each context."""
        encoded = self._encode(
            [asked.question for asked in inputs],
            [asked.context for asked in inputs],
            truncation="only_second",
            stride=self.options.doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        owners = encoded.pop("overflow_to_sample_mapping").tolist()
        places = encoded.pop("offset_mapping").tolist()
        offsets = []
        for row in range(len(owners)):
            part = encoded.sequence_ids(row)
            offsets.append([tuple(place) if part[at] == 1 else None for at, place in enumerate(places[row])])
        return Encoded(tensors=dict(encoded), owners=owners, offsets=offsets)

    def postprocess(self, output: Any, encoded: Encoded, inputs: Sequence[Any]) -> Results:
        """Start and end logits -> {score, start, end, answer}."""
        starts, ends = output.start_logits.float().cpu(), output.end_logits.float().cpu()
        found: Results = []
        for index, asked in enumerate(inputs):
            rows = [row for row, owner in enumerate(encoded.owners) if owner == index]
            answers: list[Answer] = best_answers(
                [(starts[row], ends[row], encoded.offsets[row]) for row in rows],
                asked.context,
                max_answer_length=self.options.max_answer_length,
                handle_impossible_answer=self.options.handle_impossible_answer,
            )
            best = answers[0]
            found.append({"score": best.score, "start": best.start, "end": best.end, "answer": best.text})
        return found


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Probabilities over the last axis, on the CPU: exp(x - max) / sum, which no logit can overflow."""
    shifted = logits.float().cpu()
    powers = (shifted - shifted.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)
