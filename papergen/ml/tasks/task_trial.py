"""One trial of a task from its data to its scores, on one rank."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from papergen.core.errors import PapergenError, counted
from papergen.core.files import digest_json
from papergen.ml import distributed
from papergen.ml.distributed import Ranks
from papergen.ml.tasks.compatibility import fit, refuse_foreign_tokens
from papergen.ml.tasks.embedded import embedded
from papergen.ml.tasks.encoding import Encoder
from papergen.ml.tasks.evaluation import Scores, classes, evaluate
from papergen.ml.tasks.examples import Choice, Example, Labelled, Question, Tagged, read_examples
from papergen.ml.tasks.finetuning import Learned, finetune, on_device
from papergen.ml.tasks.heads import Head, build_head, load_head, load_tokenizer, reload_difference
from papergen.ml.tasks.linear_probe import features_of, linear_probe
from papergen.ml.tasks.settings import TaskSettings
from papergen.ml.tasks.vocabulary import texts_of, train_wordpiece, wrap
from papergen.ml.training.material import derived_seed


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a trial reports."""

    metrics: Mapping[str, float]
    units: Mapping[str, Sequence[float]]
    facts: Mapping[str, Any]
    samples: Sequence[Mapping[str, Any]]


def run_task(
    settings: TaskSettings,
    *,
    source: str | Path | None,
    seed: int,
    rank: int,
    world_size: int,
    local_rank: int,
    device: str,
    folder: Path,
    project: Path,
    log: Callable[[int, dict[str, float]], None],
    progress: Callable[[int, int, dict[str, float]], None],
) -> Finished:
    """Fine-tune the head and evaluate it; called by all ranks alike. Rank 0 writes `folder`/model.

    The saved model is read back and must give the very same output.
    """
    ranks = distributed.join(
        rank=rank, world_size=world_size, local_rank=local_rank, device=device, timeout_s=settings.timeout_s
    )
    train, test = examples_of(settings, project)
    labels = labels_of(train)
    _refuse_labels(labels, train, test)
    if source is None:
        json = train_wordpiece(texts_of(train), vocab_size=settings.vocab_size) if ranks.is_main else None
        tokenizer = wrap(ranks.from_main(json), max_length=settings.max_length)
        torch.manual_seed(derived_seed(seed, "weights"))
        head = build_head(settings, tokenizer, labels)
    else:
        tokenizer = load_tokenizer(source)
        torch.manual_seed(derived_seed(seed, "weights"))
        head = load_head(settings, source, labels)
        fit(head.model, tokenizer, source, max_length=settings.max_length)
    head.model.to(ranks.device)
    encoder = Encoder(
        settings.task,
        tokenizer,
        labels,
        max_length=settings.max_length,
        doc_stride=settings.doc_stride,
        mlm_probability=settings.mlm_probability,
    )
    features = encoder.encode(train)
    refuse_foreign_tokens(head.model, [feature.inputs["input_ids"] for feature in features])
    learned: Learned | None = None
    if settings.is_trained:
        torch.manual_seed(derived_seed(seed, f"rank {rank}"))
        learned = finetune(
            settings,
            head.model,
            encoder,
            features,
            ranks=ranks,
            seed=derived_seed(seed, "order"),
            log=log,
            progress=progress,
        )
        scores = evaluate(
            settings.task,
            head.model,
            encoder,
            test,
            batch_size=max(8, settings.batch_size),
            dtype=settings.dtype,
            ranks=ranks,
        )
    else:
        scores = _frozen(head.model, encoder, train, test, settings, ranks)
    facts = _facts(settings, head, train, test, labels, ranks)
    if ranks.is_main:
        facts["reload_difference"] = _save(settings, head.model, encoder, test, folder / "model", ranks)
    ranks.barrier()
    metrics = {**scores.metrics, "num_parameters": float(head.model.num_parameters())}
    units = dict(scores.units)
    if baseline := _baseline(test):
        metrics["baseline"] = sum(baseline) / len(baseline)
        units["baseline"] = baseline
    if learned is not None:
        median_s = statistics.median(learned.step_time_s)
        metrics |= {
            "train_loss": learned.train_loss,
            "num_steps": learned.num_steps,
            "step_time_ms": 1e3 * median_s,
            "examples_per_s": settings.batch_size / median_s,
        }
    samples = [
        {"example": _shown(example), "gold": _gold(example), "said": said}
        for example, said in zip(test, scores.predictions, strict=True)
    ]
    return Finished(metrics=metrics, units=units, facts=facts, samples=samples)


def examples_of(settings: TaskSettings, project: Path) -> tuple[list[Example], list[Example]]:
    """Training and test examples, at most as many as asked for, chosen alike in every trial."""
    if settings.embedded_data is not None:
        train, test = map(list, embedded(settings.embedded_data))
    else:
        paths = [project / Path(str(name)).expanduser() for name in (settings.train_file, settings.test_file)]
        train, test = (read_examples(settings.task, path, settings.columns) for path in paths)
        # A file is often in the order of its classes: a part of it is drawn, not its beginning.
        random.Random(0).shuffle(train)
        chosen = sorted(random.Random(0).sample(range(len(test)), min(len(test), settings.max_test_examples)))
        test = [test[index] for index in chosen]
    return train[: settings.max_train_examples], test[: settings.max_test_examples]


def labels_of(train: Sequence[Example]) -> list[str]:
    """The classes or tags of the training examples, in alphabetical order; nothing for other tasks."""
    found: set[str] = set()
    for example in train:
        match example:
            case Labelled(_, label, _):
                found.add(label)
            case Tagged(_, tags):
                found.update(tags)
    return sorted(found)


def _refuse_labels(labels: Sequence[str], train: Sequence[Example], test: Sequence[Example]) -> None:
    """PapergenError, before anything is trained, when a class has no training example or there is nothing to tell."""
    if len(labels) == 1 and isinstance(train[0], Labelled):
        raise PapergenError(
            f"all {len(train)} training examples are {labels[0]!r}: there must be two classes at least."
        )
    unknown = sorted({*labels_of(test)} - {*labels})
    if not unknown:
        return
    count = sum(bool({*labels_of([example])} & {*unknown}) for example in test)
    shown = [", ".join(names[:8]) + " ..." * (len(names) > 8) for names in (unknown, labels)]
    raise PapergenError(
        f"{counted(count, 'test example')} {'has' if count == 1 else 'have'} a label that none of the {len(train)} "
        f"training examples has: {shown[0]}.",
        hint=f"Labels of training: {shown[1]}. Add training examples of it (max_train_examples may leave some out), "
        "or take it from the test file.",
    )


def _frozen(
    model: Any,
    encoder: Encoder,
    train: Sequence[Example],
    test: Sequence[Example],
    settings: TaskSettings,
    ranks: Ranks,
) -> Scores:
    vectors = [
        features_of(model, encoder, examples, layer=settings.layer, batch_size=settings.batch_size, ranks=ranks)
        for examples in (train, test)
    ]
    golds = [[example.label for example in part if isinstance(example, Labelled)] for part in (train, test)]
    return classes(golds[1], linear_probe(vectors[0], golds[0], vectors[1]))


def _baseline(test: Sequence[Example]) -> list[float]:
    """What one reaches without a model, by example: always the most frequent answer of the test set is given."""
    golds = [_gold(example) for example in test if isinstance(example, Labelled | Choice)]
    if golds:
        usual = Counter(golds).most_common(1)[0][0]
        return [100.0 * (gold == usual) for gold in golds]
    return [100.0 * (not example.answers) for example in test if isinstance(example, Question)]


def _save(
    settings: TaskSettings, model: Any, encoder: Encoder, test: Sequence[Example], folder: Path, ranks: Ranks
) -> float:
    disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    batch = on_device(encoder.batch(encoder.encode(test[:4])), ranks)
    difference = reload_difference(settings.task, model, folder, batch)
    assert difference == 0.0, f"the saved model differs from the trained one by {difference}"
    return difference


def _facts(
    settings: TaskSettings,
    head: Head,
    train: Sequence[Example],
    test: Sequence[Example],
    labels: Sequence[str],
    ranks: Ranks,
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "num_train_examples": len(train),
        "num_test_examples": len(test),
        "num_new_weights": len(head.new_weights),
        "data_digest": digest_json([[repr(example) for example in part] for part in (train, test)]),
        "head": type(head.model).__name__,
        "backend": ranks.backend,
    }
    return facts | ({"labels": ", ".join(labels)} if labels else {})


def _shown(example: Example) -> str:
    match example:
        case Tagged(words, _):
            return " ".join(words)
        case Question(question, context, _):
            return f"{question} | {context}"
        case Choice(context, options, _):
            return " | ".join([context, *options])
        case _:
            return example.text


def _gold(example: Example) -> str:
    match example:
        case Labelled(_, label, _):
            return label
        case Tagged(_, tags):
            return " ".join(tags)
        case Question(_, _, answers):
            return answers[0][1] if answers else ""
        case Choice(_, _, index):
            return str(index)
        case _:
            return ""
