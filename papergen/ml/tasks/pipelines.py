"""The pipelines of transformers as stages: what differs from one to the next."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from papergen.core.errors import PapergenError
from papergen.ml.tasks.answer_spans import best_answer
from papergen.ml.tasks.compatibility import context_room
from papergen.ml.tasks.heads import has_projection, logits_at
from papergen.ml.tasks.stages import Encoded, Options, Stages, softmax


class TextClassification(Stages):
    """Scores of all classes, the highest first: softmax over the logits, or what the config's `problem_type` asks for.

    That is the sigmoid for several labels at a time and for a single output, and the logits themselves in a regression.
    """

    def read(self, output: Any, encoded: Encoded, rows: Sequence[int]) -> list[Any]:
        """Logits -> [{label, score}, ...] of each row."""
        del encoded, rows
        labels = self._labels
        return [
            [{"label": labels[i], "score": row[i]} for i in sorted(range(len(row)), key=lambda i: -row[i])]
            for row in self.scores(output.logits).tolist()
        ]

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits -> scores of the classes, in the same shape, on the CPU."""
        config = self.model.config
        if config.problem_type == "regression":
            return logits.float().cpu()
        if config.problem_type == "multi_label_classification" or config.num_labels == 1:
            return logits.float().cpu().sigmoid()
        return softmax(logits)


class ZeroShot(Stages):
    """Every label as a hypothesis about the text; softmax of the entailment logits over labels (Yin et al. 2019).

    A single label is judged by entailment against contradiction, as transformers does it.
    """

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
        """One row per text and label; each text and each hypothesis is tokenized once, and then they are paired."""
        words = self.tokenizer.backend_tokenizer
        words.no_truncation()
        words.no_padding()
        texts = words.encode_batch(list(inputs), add_special_tokens=False)
        hypotheses = words.encode_batch(
            [self.options.hypothesis_template.format(label) for label in self.options.candidate_labels],
            add_special_tokens=False,
        )
        words.enable_truncation(self.options.max_length, strategy="only_first")
        pairs = [words.post_process(text, hypothesis) for text in texts for hypothesis in hypotheses]
        rows = {"input_ids": [pair.ids for pair in pairs]}
        if "token_type_ids" in self.tokenizer.model_input_names:
            rows["token_type_ids"] = [pair.type_ids for pair in pairs]
        return Encoded(inputs=rows, owners=[i for i in range(len(texts)) for _ in hypotheses])

    def read(self, output: Any, encoded: Encoded, rows: Sequence[int]) -> list[Any]:
        """Logits -> the entailment logit of each pair, and the probability of entailment against contradiction."""
        del encoded, rows
        against = -1 if self._entailment == 0 else 0
        pairs = output.logits[:, [against, self._entailment]].float()
        return list(zip(pairs[:, 1].tolist(), softmax(pairs)[:, 1].tolist(), strict=True))

    def result(self, said: Sequence[Any], given: Any) -> Any:
        """Entailment logits of one text -> {sequence, labels, scores}, the most probable label first."""
        labels = self.options.candidate_labels
        scores = softmax(torch.tensor([logit for logit, _ in said])).tolist() if len(said) > 1 else [said[0][1]]
        order = sorted(range(len(labels)), key=lambda i: -scores[i])
        return {"sequence": given, "labels": [labels[i] for i in order], "scores": [scores[i] for i in order]}


class TokenClassification(Stages):
    """The most probable tag of every token; neighbouring ones of one type are one entity ("simple" grouping)."""

    def read(self, output: Any, encoded: Encoded, rows: Sequence[int]) -> list[Any]:
        """Logits -> [(tag, probability, place), ...] and the ids of each row, special tokens left out."""
        scores, best = (part.tolist() for part in softmax(output.logits).max(dim=-1))
        labels = self._labels
        found = []
        for at, row in enumerate(rows):
            encoding = encoded.encodings[row]
            ids, offsets, special = encoding.ids, encoding.offsets, encoding.special_tokens_mask
            kept = [i for i in range(len(ids)) if not special[i]]
            tokens = [(labels[best[at][i]], scores[at][i], offsets[i]) for i in kept]
            found.append((tokens, [ids[i] for i in kept]))
        return found

    def result(self, said: Sequence[Any], given: Any) -> Any:
        """The tags of one text -> [{entity_group, score, word, start, end}, ...]."""
        tokens, ids = said[0]
        return grouped_entities(tokens, ids, self.tokenizer, given)


class FillMask(Stages):
    """The most probable tokens for the one mask of each text."""

    def tokenize(self, inputs: Sequence[Any]) -> Encoded:
        """Texts -> ids; each must hold the mask once."""
        if self.tokenizer.mask_token is None:
            raise PapergenError("fill-mask: the tokenizer has no mask token. Use text-generation, or another model.")
        encoded = super().tokenize(inputs)
        for text, ids in zip(inputs, encoded.inputs["input_ids"], strict=True):
            if ids.count(self.tokenizer.mask_token_id) != 1:
                raise PapergenError(f"fill-mask: {text!r} must hold {self.tokenizer.mask_token} exactly once.")
        return encoded

    def forward(self, batch: Mapping[str, torch.Tensor]) -> Any:
        """Ids -> the logits of the masks, (rows, vocabulary)."""
        is_mask = batch["input_ids"] == self.tokenizer.mask_token_id
        if not has_projection(self.model):
            return self.model(**batch).logits[is_mask]
        with logits_at(self.model, is_mask):
            return self.model(**batch).logits[0]

    def read(self, output: Any, encoded: Encoded, rows: Sequence[int]) -> list[Any]:
        """Logits -> [{score, token, token_str, sequence}, ...] of each row."""
        probabilities = softmax(output)
        scores, tokens = probabilities.topk(min(self.options.top_k, probabilities.shape[-1]))
        return [
            [self._candidate(encoded.inputs["input_ids"][row], *pair) for pair in zip(best, said, strict=True)]
            for row, best, said in zip(rows, scores.tolist(), tokens.tolist(), strict=True)
        ]

    def _candidate(self, ids: Sequence[int], score: float, token: int) -> dict[str, Any]:
        filled = [token if i == self.tokenizer.mask_token_id else i for i in ids]
        return {
            "score": score,
            "token": token,
            "token_str": self.tokenizer.decode([token]),
            "sequence": self.tokenizer.decode(filled, skip_special_tokens=True),
        }


class TextGeneration(Stages):
    """Greedy continuation; prompts are padded on the left, where the padding cannot come between them and the text."""

    padding_side = "left"
    batch_factor = 8

    def tokenize(self, inputs: Sequence[Any]) -> Encoded:
        """Prompts -> ids, which leave room for the continuation."""
        encoded = self._encode(list(inputs), add_special_tokens=False, return_token_type_ids=False)
        longest = getattr(self.model.config, "max_position_embeddings", None)
        width = max(encoded.lengths)
        if longest is not None and width + self.options.max_new_tokens > longest:
            raise PapergenError(
                f"text-generation: prompts of {width} tokens and max_new_tokens = {self.options.max_new_tokens} are "
                f"more than the {longest} positions of the model.",
                hint=f"Use max_length: {max(1, longest - self.options.max_new_tokens)}.",
            )
        return encoded

    def forward(self, batch: Mapping[str, torch.Tensor]) -> Any:
        """The ids of the continuations, (rows, new tokens)."""
        found = self.model.generate(
            **batch,
            max_new_tokens=self.options.max_new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        return found[:, batch["input_ids"].shape[1] :]

    def read(self, output: Any, encoded: Encoded, rows: Sequence[int]) -> list[Any]:
        """Ids -> the continuation of each row."""
        del encoded, rows
        return [self.tokenizer.decode(row, skip_special_tokens=True) for row in output.tolist()]

    def result(self, said: Sequence[Any], given: Any) -> Any:
        """A continuation -> [{generated_text}], the prompt in front."""
        return [{"generated_text": given + said[0]}]


class FeatureExtraction(Stages):
    """The last hidden states of the real tokens, as tensors (the pipeline's `return_tensors`)."""

    def read(self, output: Any, encoded: Encoded, rows: Sequence[int]) -> list[Any]:
        """States -> a (tokens, width) tensor of each row."""
        states, lengths = output.last_hidden_state.float().cpu(), encoded.lengths
        return [states[at, : lengths[row]] for at, row in enumerate(rows)]


class QuestionAnswering(Stages):
    """Extractive answers as transformers' former pipeline gave them.

    Probabilities of starts and ends over all windows of a context, answers no longer than a limit and aligned to whole
    words, and, when asked for, the answer that there is none.
    """

    def tokenize(self, inputs: Sequence[Any]) -> Encoded:
        """One row per window of each context."""
        limits = {"max_length": self.options.max_length, "doc_stride": self.options.doc_stride}
        context_room(self.tokenizer, [asked.question for asked in inputs], **limits)
        return self._encode(
            [asked.question for asked in inputs],
            [asked.context for asked in inputs],
            truncation="only_second",
            stride=self.options.doc_stride,
            return_overflowing_tokens=True,
        )

    def read(self, output: Any, encoded: Encoded, rows: Sequence[int]) -> list[Any]:
        """Start and end logits -> those of each row with the places of its tokens in the context."""
        starts, ends = output.start_logits.float().cpu(), output.end_logits.float().cpu()
        found = []
        for at, row in enumerate(rows):
            encoding = encoded.encodings[row]
            places = zip(encoding.sequence_ids, encoding.offsets, strict=True)
            found.append((starts[at], ends[at], [place if part == 1 else None for part, place in places]))
        return found

    def result(self, said: Sequence[Any], given: Any) -> Any:
        """The windows of one context -> {score, start, end, answer}."""
        best = best_answer(
            said,
            given.context,
            max_answer_length=self.options.max_answer_length,
            handle_impossible_answer=self.options.handle_impossible_answer,
        )
        return {"score": best.score, "start": best.start, "end": best.end, "answer": best.text}


PIPELINES: Mapping[str, type[Stages]] = {
    "text-classification": TextClassification,
    "zero-shot-classification": ZeroShot,
    "token-classification": TokenClassification,
    "fill-mask": FillMask,
    "text-generation": TextGeneration,
    "feature-extraction": FeatureExtraction,
    "question-answering": QuestionAnswering,
}
"""Pipeline task -> its stages."""


def stages_of(task: str, model: Any, tokenizer: Any, options: Options) -> Stages:
    """The stages of the pipeline `task`; PapergenError when the model or the options cannot serve it."""
    return PIPELINES[task](model, tokenizer, options)


def grouped_entities(
    tokens: Sequence[tuple[str, float, tuple[int, int]]], ids: Sequence[int], tokenizer: Any, text: str
) -> list[dict[str, Any]]:
    """Entities as transformers' aggregation_strategy="simple" groups them; a token is (tag, probability, (start, end)).

    Neighbouring tokens of one type are one entity, O is left out.
    A B- tag begins a new entity; the score is the mean over the tokens, the word what their ids decode to, those that
    the vocabulary does not know as they stand in the text.
    """
    words = tokenizer.convert_ids_to_tokens(ids)
    for index, (_, _, (start, end)) in enumerate(tokens):
        if ids[index] == tokenizer.unk_token_id:
            words[index] = text[start:end]
    begins = []
    before = ""
    for index, (label, _, _) in enumerate(tokens):
        mark, kind = _parts(label)
        if mark == "B" or kind != before:
            begins.append(index)
        before = kind
    found = []
    for first, end in itertools.pairwise([*begins, len(tokens)]):
        kind = _parts(tokens[first][0])[1]
        if kind == "O":
            continue
        found.append(
            {
                "entity_group": kind,
                "score": sum(score for _, score, _ in tokens[first:end]) / (end - first),
                "word": tokenizer.convert_tokens_to_string(words[first:end]),
                "start": tokens[first][2][0],
                "end": tokens[end - 1][2][1],
            }
        )
    return found


@functools.cache
def _parts(label: str) -> tuple[str, str]:
    """Mark and type of a tag; one without a mark continues whatever has its type."""
    mark, dash, kind = label.partition("-")
    return (mark, kind) if dash and mark in {"B", "I"} else ("I", label)
