"""Task heads: our fine-tuning beside transformers' Trainer, and batched stages beside one-by-one pipeline calls.

    python benchmarks/tasks.py [--rounds 7] [--examples 800] [--epochs 2] [--inputs 128]

Fine-tunings start from the same weights and take the same batches (tasks_contenders.py), each in a fresh process, in
turns whose order alternates; a check without dropout first proves that both end at the same weights. Needs the extra
`bench` (Trainer needs accelerate).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from common import interleaved, ratios, save, show
from tasks_contenders import OURS, THEIRS, head_of

from papergen.execution.devices import choose_device
from papergen.ml.tasks.agreement import call_pipeline, pipeline_of
from papergen.ml.tasks.pipeline_inputs import inputs_for
from papergen.ml.tasks.pipeline_settings import DATA
from papergen.ml.tasks.pipelines import stages_of
from papergen.ml.tasks.stage_timing import run_stages
from papergen.ml.tasks.stages import Options

SAME_WEIGHTS = 1e-5
"""Relative difference of the sums of squares of all weights, by rounding in another order of the same arithmetic."""
TRAINED = ("sequence_classification", "token_classification", "question_answering")
PIPELINES = {name: data for name, data in DATA.items() if name != "question-answering"}  # the library has none
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
    base = {"settings": vars(options), "device": device, "num_threads": torch.get_num_threads()}
    if options.only != "pipelines":
        if importlib.util.find_spec("accelerate") is None:
            print("training: left out, accelerate is not installed (pip install 'papergen[bench]')")
        else:
            record = {**base, "training": {task: against_trainer(task, options) for task in TRAINED}}
            keep(f"tasks-training-{device}", record, options)
    if options.only != "training":
        pipelines = {
            shape: {task: against_pipeline(task, shape, options, device) for task in options.pipelines}
            for shape in options.shapes
        }
        keep(f"tasks-{device}", {**base, "pipelines": pipelines}, options)


def keep(name: str, record: dict[str, Any], options: argparse.Namespace) -> None:
    """Save the record unless it is only to be printed."""
    if not options.no_save:
        print(save(name, record))


def against_trainer(task: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of whole fine-tunings, each in a fresh process; first the proof that both do the same work."""
    exact = {name: contender(name, task, "--examples", "128", "--epochs", "1", "--exact") for name in (OURS, THEIRS)}
    drift = abs(exact[OURS]["weights"] / exact[THEIRS]["weights"] - 1)
    assert drift < SAME_WEIGHTS, f"{task}: the weights differ by {drift:.1e}: the contenders do not do the same work"
    size = ("--examples", str(options.examples), "--epochs", str(options.epochs))
    done: dict[str, list[dict[str, float]]] = {OURS: [], THEIRS: []}
    for round_ in range(options.rounds):
        for name in list(done) if round_ % 2 == 0 else list(done)[::-1]:
            done[name].append(contender(name, task, *size))
    seconds = {name: [run["seconds"] for run in runs] for name, runs in done.items()}
    table = ratios(seconds, OURS)
    num_steps = int(done[OURS][0]["num_steps"])
    show(f"{task}: {num_steps} steps; in the check the weights agreed to {drift:.0e}", table)
    return {"num_steps": num_steps, "seconds": seconds, "against": table, "drift_of_weights": drift}


def contender(name: str, task: str, *arguments: str) -> dict[str, float]:
    """One run of tasks_contenders.py."""
    script = str(Path(__file__).with_name("tasks_contenders.py"))
    command = [sys.executable, script, name, "--task", task, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


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
