"""One fine-tuning of a task head by one contender, in a process of its own; prints what it measured as JSON.

    python benchmarks/tasks_contenders.py papergen|Trainer --task TASK [--examples N] [--epochs N] [--exact]

Both start from the same weights and take the same batches in the same order (random ones, Trainer's default), by AdamW
with a linear schedule, padded to the longest of a batch, with no evaluation and nothing saved; the clock runs from the
model in memory to its last step. Trainer is set as its documentation shows it, but for the order of the examples.
`--exact` switches dropout and warm-up off, so that the weights of both must agree but for rounding: the proof that they
do the same work.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from papergen.execution.devices import choose_device
from papergen.ml.distributed import Ranks
from papergen.ml.tasks.batching import ExampleOrder
from papergen.ml.tasks.embedded import embedded
from papergen.ml.tasks.encoding import Encoder, Feature
from papergen.ml.tasks.finetuning import finetune
from papergen.ml.tasks.heads import build_head
from papergen.ml.tasks.settings import TaskSettings
from papergen.ml.tasks.task_trial import labels_of
from papergen.ml.tasks.vocabulary import texts_of, train_wordpiece, wrap

OURS = "papergen"
THEIRS = "Trainer"
SEED = 0


def main() -> None:
    """Fine-tune once and print seconds, steps, the last loss and the size of the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contender", choices=(OURS, THEIRS))
    parser.add_argument("--task", default="sequence_classification")
    parser.add_argument("--examples", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--exact", action="store_true")
    options = parser.parse_args()
    device, _ = choose_device("auto")
    changes: dict[str, Any] = {"group_by_length": False, **({"warmup_ratio": 0.0} if options.exact else {})}
    settings, model, encoder, train = head_of(options.task, num_train_epochs=options.epochs, **changes)
    if options.exact:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.config.attention_probs_dropout_prob = 0.0
        _without_attention_dropout(model)
    features = encoder.encode(train[: options.examples])
    contend = {OURS: by_papergen, THEIRS: by_trainer}[options.contender]
    model = model.to(device)
    start = time.perf_counter()
    num_steps, loss = contend(settings, model, encoder, features, device)
    seconds = time.perf_counter() - start
    weights = sum(float(parameter.detach().double().square().sum()) for parameter in model.parameters())
    print(json.dumps({"seconds": seconds, "num_steps": num_steps, "loss": loss, "weights": weights}))


def head_of(data: str, **changes: Any) -> tuple[TaskSettings, Any, Encoder, list[Any]]:
    """A new model for embedded data with its encoder, and the training examples."""
    task = "sequence_classification" if data == "entailment" else data
    settings = TaskSettings.model_validate({"task": task, **changes})
    train = list(embedded(data)[0])
    tokenizer = wrap(train_wordpiece(texts_of(train), vocab_size=settings.vocab_size), max_length=settings.max_length)
    torch.manual_seed(0)
    model = build_head(settings, tokenizer, labels_of(train)).model
    encoder = Encoder(task, tokenizer, labels_of(train), max_length=settings.max_length, doc_stride=settings.doc_stride)
    return settings, model, encoder, train


def by_papergen(
    settings: TaskSettings, model: Any, encoder: Encoder, features: Sequence[Feature], device: str
) -> tuple[int, float]:
    """Ours: steps and the mean loss of the last of them."""
    ranks = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device(device), backend="none")
    learned = finetune(
        settings,
        model,
        encoder,
        features,
        ranks=ranks,
        seed=SEED,
        log=lambda *_: None,
        progress=lambda *_: None,
    )
    return learned.num_steps, learned.train_loss


def by_trainer(
    settings: TaskSettings, model: Any, encoder: Encoder, features: Sequence[Feature], device: str
) -> tuple[int, float]:
    """The plain Trainer script: steps and their mean loss."""
    from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding, Trainer, TrainingArguments

    order = ExampleOrder(
        [feature.length for feature in features],
        batch_size=settings.batch_size,
        rank=0,
        world_size=1,
        seed=SEED,
        group_by_length=settings.group_by_length,
    )
    num_steps = settings.num_train_epochs * order.steps_per_epoch

    class SameOrder(Trainer):
        """Trainer that reads the examples in our order: every epoch has its own."""

        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return _Epochs(order)

    tokenizer = encoder.tokenizer
    collator: Any = DataCollatorWithPadding(tokenizer)
    if settings.task == "token_classification":
        collator = DataCollatorForTokenClassification(tokenizer)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = SameOrder(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=settings.batch_size,
                num_train_epochs=settings.num_train_epochs,
                learning_rate=settings.learning_rate,
                weight_decay=settings.weight_decay,
                warmup_steps=settings.warmup_ratio,
                max_grad_norm=settings.max_grad_norm,
                dataloader_drop_last=True,
                dataloader_pin_memory=device == "cuda",
                logging_steps=5,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=device == "cpu",
            ),
            train_dataset=[{**feature.inputs, **feature.targets} for feature in features],  # type: ignore[arg-type]
            data_collator=collator,
            processing_class=tokenizer,
        )
        trainer.log = lambda *_, **__: None  # type: ignore[method-assign]
        done = trainer.train()
        assert trainer.state.global_step == num_steps
        return num_steps, float(done.training_loss)


class _Epochs:
    """A sampler that gives one epoch of an order after the other, without the examples that fill no batch."""

    def __init__(self, order: ExampleOrder) -> None:
        self.order = order
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.order.at(0)) * self.order.steps_per_epoch

    def __iter__(self) -> Any:
        first = self.epoch * self.order.steps_per_epoch
        self.epoch += 1
        for step in range(first, first + self.order.steps_per_epoch):
            yield from self.order.at(step)


def _without_attention_dropout(model: Any) -> None:
    """Attention keeps its own copy of the probability."""
    for module in model.modules():
        for name in ("dropout_prob", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


if __name__ == "__main__":
    main()
