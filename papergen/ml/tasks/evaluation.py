"""Evaluating a head: every example once at any number of ranks, one prediction per feature, measures of the whole."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from papergen.ml.decoding.jackknife import contributions
from papergen.ml.distributed import Ranks
from papergen.ml.tasks import metrics as m
from papergen.ml.tasks.answer_spans import Span, Window, answer, read_window
from papergen.ml.tasks.encoding import IGNORED, Encoder, Feature, num_targets
from papergen.ml.tasks.examples import Choice, Example, Labelled, Question, Tagged
from papergen.ml.tasks.finetuning import on_device, output_of
from papergen.ml.training.optimizer import autocast


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Measures of the whole test set, and per example where they are defined for one."""

    metrics: Mapping[str, float]
    units: Mapping[str, Sequence[float]] = field(default_factory=dict)
    predictions: Sequence[str] = ()
    """What was answered, per example, as text."""


@dataclass(frozen=True)
class _Answered:
    """What the model said of one feature, as JSON data: its loss over how many targets, and its prediction."""

    nats: float
    count: int
    said: Any


def evaluate(
    task: str,
    model: nn.Module,
    encoder: Encoder,
    examples: Sequence[Example],
    *,
    batch_size: int,
    dtype: str,
    ranks: Ranks,
) -> Scores:
    """Rank r answers every world_size-th feature; the answers are brought together and measured on every rank alike."""
    features = encoder.encode(examples)
    own = list(range(ranks.rank, len(features), ranks.world_size))
    # Alike in length, so that little is padded.
    own.sort(key=lambda index: features[index].length)
    said: dict[int, _Answered] = {}
    was_training = model.training
    model.eval()
    with torch.inference_mode(), autocast(dtype, ranks.device):
        for start in range(0, len(own), batch_size):
            indices = own[start : start + batch_size]
            said |= dict(zip(indices, _ask(task, model, encoder, [features[i] for i in indices], ranks), strict=True))
    model.train(was_training)
    parts = ranks.gathered(json.dumps([[index, one.nats, one.count, one.said] for index, one in said.items()]))
    together = {index: _Answered(*rest) for part in parts for index, *rest in json.loads(part)}
    assert sorted(together) == list(range(len(features))), "evaluation must answer each feature exactly once"
    return _measure(task, encoder, examples, features, [together[index] for index in range(len(features))])


def _ask(task: str, model: nn.Module, encoder: Encoder, features: Sequence[Feature], ranks: Ranks) -> list[_Answered]:
    batch = on_device(encoder.batch(features), ranks)
    output = output_of(task, model, batch, model=model)
    if task == "question_answering":
        nats = float(output.loss) * len(features)
        windows = [
            read_window(output.start_logits[row], output.end_logits[row], feature.offsets)
            for row, feature in enumerate(features)
        ]
        return [
            _Answered(nats / len(features), 1, [window.null_score, window.best and dataclasses.astuple(window.best)])
            for window in windows
        ]
    if task in {"masked_lm", "causal_lm"}:
        return _words(task, output.logits, batch["labels"])
    logits, labels = output.logits.float(), batch["labels"]
    flat = nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED, reduction="none"
    ).view(len(features), -1)
    # Off the GPU at once: the rows below are read one by one.
    best, labels, flat = logits.argmax(dim=-1).cpu(), labels.cpu(), flat.double().cpu()
    answered = []
    for row in range(len(features)):
        kept = labels[row] != IGNORED
        said: Any = best[row][kept].tolist() if task == "token_classification" else int(best[row])
        answered.append(_Answered(float(flat[row].sum()), int(kept.sum()) if labels.dim() > 1 else 1, said))
    assert sum(one.count for one in answered) == num_targets(task, batch)
    return answered


def _words(task: str, logits: torch.Tensor, labels: torch.Tensor) -> list[_Answered]:
    """Nats, targets and right words of each row; logits are (batch, time, vocabulary), or those of the targets only."""
    if task == "causal_lm":
        logits, labels = logits[:, :-1], labels[:, 1:]
    places = labels != IGNORED
    wanted = labels[places]
    chosen = logits[places] if logits.shape[:2] == labels.shape else logits[0]
    nats = nn.functional.cross_entropy(chosen.float(), wanted, reduction="none").double().cpu()
    right = (chosen.argmax(dim=-1) == wanted).cpu()
    counts = places.sum(dim=1).tolist()
    parts = zip(torch.split(nats, counts), torch.split(right, counts), counts, strict=True)
    return [_Answered(float(loss.sum()), count, int(hits.sum())) for loss, hits, count in parts]


def _measure(
    task: str,
    encoder: Encoder,
    examples: Sequence[Example],
    features: Sequence[Feature],
    answered: Sequence[_Answered],
) -> Scores:
    nats, counts = [0.0] * len(examples), [0] * len(examples)
    for feature, one in zip(features, answered, strict=True):
        nats[feature.example] += one.nats
        counts[feature.example] += one.count
    whole, units = _ratio("loss", nats, counts)
    if task in {"masked_lm", "causal_lm"}:
        right = [one.said for one in answered]
        for part in (
            _ratio("perplexity", nats, counts, lambda loss: math.exp(min(loss, 700.0))),
            _ratio("token_accuracy", right, counts, lambda share: 100.0 * share),
        ):
            whole |= part[0]
            units |= part[1]
        shares = [100.0 * hits / max(count, 1) for hits, count in zip(right, counts, strict=True)]
        return Scores(metrics=whole, units=units, predictions=[f"{share:.0f} % of the tokens" for share in shares])
    scores = _scores(task, encoder, examples, features, answered)
    return dataclasses.replace(scores, metrics=whole | dict(scores.metrics), units=units | dict(scores.units))


def _ratio(
    name: str, amounts: Sequence[float], counts: Sequence[int], read: Callable[[float], float] = float
) -> tuple[dict[str, float], dict[str, Sequence[float]]]:
    """A measure that is a sum over examples by a sum, and what each example contributes to it by the jackknife."""
    amount, count = math.fsum(amounts), sum(counts)
    whole = read(amount / count)
    without = [
        read((amount - own) / (count - num)) if count > num else None for own, num in zip(amounts, counts, strict=True)
    ]
    parts = contributions(whole, without)
    return {name: whole}, {} if parts is None else {name: parts}


def _scores(
    task: str,
    encoder: Encoder,
    examples: Sequence[Example],
    features: Sequence[Feature],
    answered: Sequence[_Answered],
) -> Scores:
    """What was predicted against what is right; the loss is measured elsewhere."""
    if task == "question_answering":
        return _questions(examples, features, answered)
    if task == "token_classification":
        return _tags(encoder, examples, features, answered)
    gold = [_gold(example) for example in examples]
    found = [_said(encoder, example, one.said) for example, one in zip(examples, answered, strict=True)]
    if task == "sequence_classification":
        return classes(gold, found)
    return Scores(
        metrics={"accuracy": m.accuracy(gold, found)}, units={"accuracy": _hits(gold, found)}, predictions=found
    )


def classes(gold: Sequence[str], found: Sequence[str]) -> Scores:
    """Accuracy and macro-F1 of the classes found, macro-F1 by example by the jackknife: intervals run over examples."""
    whole = {"accuracy": m.accuracy(gold, found), "macro_f1": m.macro_f1(gold, found)}
    units: dict[str, Sequence[float]] = {"accuracy": _hits(gold, found)}
    parts = contributions(whole["macro_f1"], m.macro_f1_without(gold, found))
    return Scores(metrics=whole, units=units if parts is None else units | {"macro_f1": parts}, predictions=found)


def _hits(gold: Sequence[str], found: Sequence[str]) -> list[float]:
    return [100.0 * (a == b) for a, b in zip(gold, found, strict=True)]


def _gold(example: Example) -> str:
    match example:
        case Labelled(_, label, _):
            return label
        case Choice(_, _, index):
            return str(index)
    raise AssertionError("only classes and choices have one label")


def _said(encoder: Encoder, example: Example, index: int) -> str:
    return str(index) if isinstance(example, Choice) else encoder.labels[index]


def _tags(
    encoder: Encoder, examples: Sequence[Example], features: Sequence[Feature], answered: Sequence[_Answered]
) -> Scores:
    """Words that were cut off or have no token count as O, so that what the model was not shown is not found."""
    counts, right, lengths, texts = [], [], [], []
    for example, feature, one in zip(examples, features, answered, strict=True):
        assert isinstance(example, Tagged)
        tags = ["O"] * len(example.words)
        for word, index in zip(feature.words, one.said, strict=True):
            tags[word] = encoder.labels[index]
        counts.append(m.entity_counts(example.tags, tags))
        lengths.append(len(tags))
        right.append(sum(a == b for a, b in zip(example.tags, tags, strict=True)))
        texts.append(" ".join(tags))
    precision, recall, f1 = m.entity_scores(counts)
    whole, units = _ratio("token_accuracy", right, lengths, lambda share: 100.0 * share)
    whole |= {"entity_precision": precision, "entity_recall": recall, "entity_f1": f1}
    for place, name in enumerate(("entity_precision", "entity_recall", "entity_f1")):
        parts = contributions(whole[name], [scores[place] for scores in m.entity_scores_without(counts)])
        units |= {} if parts is None else {name: parts}
    return Scores(metrics=whole, units=units, predictions=texts)


def _questions(examples: Sequence[Example], features: Sequence[Feature], answered: Sequence[_Answered]) -> Scores:
    windows: dict[int, list[Window]] = {}
    for feature, one in zip(features, answered, strict=True):
        null_score, best = one.said
        windows.setdefault(feature.example, []).append(Window(null_score, best and Span(*best)))
    exact, shared, texts = [], [], []
    for index, example in enumerate(examples):
        assert isinstance(example, Question)
        found = answer(windows[index], example.context)
        golds = [text for _, text in example.answers]
        exact.append(m.exact_match(found, golds))
        shared.append(m.span_f1(found, golds))
        texts.append(found)
    units = {"exact_match": exact, "span_f1": shared}
    return Scores(
        metrics={name: math.fsum(values) / len(values) for name, values in units.items()},
        units=units,
        predictions=texts,
    )
