"""A tiny task for tests, and what one rank of it does; importable by name from a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from papergen.ml import distributed
from papergen.ml.tasks.encoding import Encoder
from papergen.ml.tasks.examples import Choice, Example, Labelled, Question, Tagged, Text
from papergen.ml.tasks.finetuning import finetune
from papergen.ml.tasks.heads import build_head
from papergen.ml.tasks.settings import TaskSettings
from papergen.ml.tasks.task_trial import Finished, labels_of, run_task
from papergen.ml.tasks.vocabulary import texts_of, train_wordpiece, wrap

SMALL: Mapping[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 300,
    "max_length": 32,
    "doc_stride": 8,
    "batch_size": 4,
    "num_train_epochs": 2,
    "learning_rate": 3e-3,
}

WORDS = ("red", "green", "blue", "seven", "eight", "nine")


def run_alone(
    settings: TaskSettings,
    folder: Path,
    *,
    source: Path | None = None,
    tell: Callable[..., None] = lambda *_: None,
) -> Finished:
    """The trial of these settings in this process, in a project that is `folder`; `tell` hears of every step."""
    return run_task(
        settings,
        source=source,
        seed=0,
        rank=0,
        world_size=1,
        local_rank=0,
        device="cpu",
        folder=folder,
        project=folder,
        log=tell,
        progress=tell,
    )


def examples(task: str, count: int = 12) -> list[Example]:
    """Deterministic examples of unequal length that a model can learn."""
    made: list[Example] = []
    for index in range(count):
        words = [WORDS[(index * 5 + k * 7) % 6] for k in range(2 + index % 5)]
        text = " ".join(words)
        is_colour = words[0] in WORDS[:3]
        kinds: dict[str, Example] = {
            "sequence_classification": Labelled(text, "colour" if is_colour else "number"),
            "feature_extraction": Labelled(text, "colour" if is_colour else "number"),
            "token_classification": Tagged(
                tuple(words), tuple("B-COLOUR" if word in WORDS[:3] else "O" for word in words)
            ),
            "question_answering": Question("which word is last?", text, ((text.rindex(words[-1]), words[-1]),)),
            "multiple_choice": Choice(text, (words[0], "other"), 0),
            "masked_lm": Text(text),
            "causal_lm": Text(text),
        }
        made.append(kinds[task])
    return made


def settings_of(task: str, **changes: Any) -> TaskSettings:
    return TaskSettings.model_validate({"task": task, **SMALL, **changes})


def encoder_of(settings: TaskSettings, data: Sequence[Example]) -> Encoder:
    json = train_wordpiece(texts_of(data), vocab_size=settings.vocab_size)
    return Encoder(
        settings.task,
        wrap(json, max_length=settings.max_length),
        labels_of(data),
        max_length=settings.max_length,
        doc_stride=settings.doc_stride,
    )


def tuned_weights(rank: int, world_size: int, task: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The weights after fine-tuning, in float64, without dropout: what any number of ranks must agree on."""
    ranks = distributed.join(rank=rank, world_size=world_size, local_rank=rank, device="cpu", timeout_s=60)
    settings = settings_of(task, world_size=world_size, **changes)
    data = examples(task)
    encoder = encoder_of(settings, data)
    torch.manual_seed(0)
    model = build_head(settings, encoder.tokenizer, encoder.labels).model.double()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    finetune(
        settings,
        model,
        encoder,
        encoder.encode(data),
        ranks=ranks,
        seed=7,
        log=lambda *_: None,
        progress=lambda *_: None,
    )
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}
