"""Task heads: our fine-tuning beside transformers' Trainer, and batched stages beside one-by-one pipeline calls.

    python benchmarks/tasks.py [--rounds 7] [--examples 800] [--epochs 2] [--inputs 128]

The contenders start every round from the same weights, see the same features in random batches for the same number of
steps, and take turns in an order that alternates. Trainer is set as its documentation shows it (AdamW, linear schedule,
padding to the longest of a batch), with progress bars, evaluation and saving off. Needs the extra `bench` (Trainer
needs accelerate).
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import tempfile
import time
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from common import interleaved, ratios, save, show

from papergen.launch.detect import choose_device
from papergen.tasks.agreement import call_pipeline, pipeline_of
from papergen.tasks.embedded import embedded
from papergen.tasks.encoding import Encoder, Feature
from papergen.tasks.heads import build_head
from papergen.tasks.inputs import inputs_for
from papergen.tasks.learning import finetune
from papergen.tasks.running import labels_of
from papergen.tasks.settings import TaskSettings
from papergen.tasks.stages import Options, stages_of
from papergen.tasks.staging import run_stages
from papergen.tasks.vocabulary import texts_of, train_wordpiece, wrap
from papergen.training.distributed import Ranks

OURS = "papergen"
TRAINED = ("sequence_classification", "token_classification", "question_answering")
PIPELINES = {
    "text-classification": "sequence_classification",
    "zero-shot-classification": "entailment",
    "token-classification": "token_classification",
    "fill-mask": "masked_lm",
    "text-generation": "causal_lm",
    "feature-extraction": "feature_extraction",
}
"""Pipeline -> the embedded data that its head is built for."""
SHAPES: dict[str, dict[str, int]] = {
    "default": {},
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "vocab_size": 8192},
}
"""Models of the pipelines: the shipped backbone, and one of MiniLM-L6's shape with a vocabulary fit for our data."""


def main() -> None:
    """Run both comparisons and save them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--examples", type=int, default=800, help="examples to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--inputs", type=int, default=128, help="inputs of each pipeline")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), help="models of the pipelines")
    parser.add_argument("--pipelines", nargs="+", choices=PIPELINES, default=list(PIPELINES))
    parser.add_argument("--cpu-time", action="store_true", help="count the process's own seconds, for a busy machine")
    parser.add_argument("--only", choices=("training", "pipelines"))
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    device, _ = choose_device("auto")
    record: dict[str, Any] = {"settings": vars(options), "device": device, "num_threads": torch.get_num_threads()}
    if options.only != "pipelines":
        if importlib.util.find_spec("accelerate") is None:
            print("training: left out, accelerate is not installed (pip install 'papergen[bench]')")
        else:
            record["training"] = {task: against_trainer(task, options, device) for task in TRAINED}
    if options.only != "training":
        record["pipelines"] = {
            shape: {task: against_pipeline(task, shape, options, device) for task in options.pipelines}
            for shape in options.shapes
        }
    if not options.no_save:
        print(save(f"tasks-{device}", record))


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


def against_trainer(task: str, options: argparse.Namespace, device: str) -> dict[str, Any]:
    """Seconds of whole fine-tunings."""
    settings, model, encoder, train = head_of(task, num_train_epochs=options.epochs, group_by_length=False)
    features = encoder.encode(train[: options.examples])
    ranks = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device(device), backend="none")
    steps: dict[str, int] = {}

    def ours() -> None:
        learned = finetune(
            settings,
            copy.deepcopy(model).to(device),
            encoder,
            features,
            ranks=ranks,
            seed=0,
            log=lambda *_: None,
            progress=lambda *_: None,
        )
        steps[OURS] = learned.num_steps

    def theirs() -> None:
        steps["Trainer"] = with_trainer(settings, copy.deepcopy(model), encoder, features, device)

    times = interleaved({OURS: ours, "Trainer": theirs}, rounds=options.rounds)
    assert steps[OURS] == steps["Trainer"], f"{steps}: the contenders must take the same number of steps"
    table = ratios(times, OURS)
    show(f"{task}: {steps[OURS]} steps of {settings.batch_size} examples, {device}", table)
    return {"num_steps": steps[OURS], "seconds": times, "against": table}


def with_trainer(settings: TaskSettings, model: Any, encoder: Encoder, features: Sequence[Feature], device: str) -> int:
    """The plain Trainer script; the number of steps it took."""
    from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding, Trainer, TrainingArguments

    tokenizer = encoder.tokenizer
    collator: Any = DataCollatorWithPadding(tokenizer)
    if settings.task == "token_classification":
        collator = DataCollatorForTokenClassification(tokenizer)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
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
        trainer.train()
        return int(trainer.state.global_step)


def against_pipeline(task: str, shape: str, options: argparse.Namespace, device: str) -> dict[str, Any]:
    """Seconds over the same inputs: our stages in batches, and the library's pipeline called input by input."""
    data = PIPELINES[task]
    _, model, encoder, _ = head_of(data, **SHAPES[shape])
    model = model.to(device).eval()
    labels = ("numbers", "strings", "comments") if data == "entailment" else ()
    stage_options = Options(max_length=96, candidate_labels=labels)
    inputs = inputs_for(task, [], data, options.inputs, encoder.tokenizer)
    stages = stages_of(task, model, encoder.tokenizer, stage_options)
    pipe = pipeline_of(task, model, encoder.tokenizer)
    times = interleaved(
        {
            OURS: lambda: run_stages(stages, inputs, device=device),
            "one by one": lambda: [call_pipeline(pipe, task, [one], stage_options) for one in inputs],
            "ours, one by one": lambda: run_stages(stages, inputs, batch_size=1, device=device),
        },
        rounds=options.rounds,
        clock=time.process_time if options.cpu_time else time.perf_counter,
    )
    table = ratios(times, OURS)
    tokens = sum(len(encoder.tokenizer(one, truncation=True, max_length=96)["input_ids"]) for one in inputs)
    show(f"{task}, {shape} model: {len(inputs)} inputs of {tokens / len(inputs):.0f} tokens, {device}", table)
    return {"num_inputs": len(inputs), "seconds": times, "against": table}


if __name__ == "__main__":
    main()
