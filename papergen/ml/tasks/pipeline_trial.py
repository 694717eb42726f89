"""One trial of a pipeline: its stages run, compared with transformers' own, and timed beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from papergen.core.errors import PapergenError
from papergen.ml.tasks.agreement import TOLERANCE, call_pipeline, largest_difference, pipeline_of
from papergen.ml.tasks.compatibility import refuse_foreign_tokens
from papergen.ml.tasks.pipeline_inputs import inputs_for, load_for
from papergen.ml.tasks.pipeline_settings import DATA, PipelineSettings
from papergen.ml.tasks.pipelines import TextClassification, stages_of
from papergen.ml.tasks.stage_timing import NAMES, run_stages, seconds_of
from papergen.ml.tasks.stages import Options, Stages


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a trial reports."""

    metrics: Mapping[str, float]
    rounds: Mapping[str, Sequence[float]]
    """Metric -> its values, one per round, in ms per input."""
    samples: Sequence[Mapping[str, Any]]
    example: Mapping[str, Any]
    """Facts of the first input on its way through the stages."""


def measure_pipeline(
    settings: PipelineSettings, source: str | Path, *, device: str, progress: Callable[[int, int], None]
) -> Measurement:
    """Run the stages, compare with transformers' own pipeline, and time both in turns.

    PapergenError when the model does not serve the pipeline, or when the results are not the library's.
    """
    model, tokenizer = load_for(settings.task, source, device=device, max_length=settings.max_length)
    names = {field.name for field in dataclasses.fields(Options)}
    options = Options(**settings.model_dump(include=names))
    inputs = inputs_for(settings.task, settings.texts, DATA[settings.task], settings.num_inputs, tokenizer)
    stages = stages_of(settings.task, model, tokenizer, options)
    refuse_foreign_tokens(model, stages.tokenize(inputs).inputs["input_ids"])
    batches: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "batch_tokens": settings.batch_tokens,
        "group_by_length": settings.group_by_length,
        "device": device,
    }
    run_stages(stages, inputs[:1], device=device)  # what is loaded at the first use is no stage's memory
    measured = run_stages(stages, inputs, with_memory=True, **batches)
    pipe = pipeline_of(settings.task, model, tokenizer)
    metrics: dict[str, float] = {"padding": measured.padding, "num_batches": measured.num_batches}
    # Resident memory grows by pages and by what the allocator asks for at a time: tenths are what it can tell.
    metrics |= {f"{stage}_mib": round(mib, 1) for stage, mib in measured.memory_mib.items()}
    if pipe is not None:
        difference = largest_difference(measured.results, call_pipeline(pipe, settings.task, inputs, options))
        if difference > TOLERANCE:
            raise PapergenError(f"{settings.task}: the stages differ from transformers' pipeline by {difference}.")
        metrics["largest_difference"] = difference

    def one_by_one() -> Any:
        """The library's pipeline, one input after the other; the stages themselves where the library has none."""
        if pipe is not None:
            return call_pipeline(pipe, settings.task, inputs, options)
        return run_stages(stages, inputs, batch_size=1, device=device)

    rounds: dict[str, list[float]] = {f"{stage}_ms": [] for stage in NAMES}
    alone: list[float] = []
    for index in range(settings.num_rounds):
        again = run_stages(stages, inputs, **batches)
        for stage, seconds in again.seconds.items():
            rounds[f"{stage}_ms"].append(1e3 * seconds / len(inputs))
        alone.append(1e3 * seconds_of(one_by_one) / len(inputs))
        progress(index + 1, settings.num_rounds)
    rounds["total_ms"] = [sum(parts) for parts in zip(*rounds.values(), strict=True)]
    rounds["one_by_one_ms"] = alone
    metrics |= {name: sum(values) / len(values) for name, values in rounds.items()}
    metrics["speedup"] = metrics["one_by_one_ms"] / metrics["total_ms"]
    results = [] if settings.task == "feature-extraction" else zip(inputs, measured.results, strict=True)
    samples = [
        {"input": given if isinstance(given, str) else dataclasses.asdict(given), "result": result}
        for given, result in results
    ]
    example = travelling(settings.task, stages, inputs[0])
    return Measurement(metrics=metrics, rounds=rounds, samples=samples, example=example)


@torch.inference_mode()
def travelling(task: str, stages: Stages, given: Any) -> dict[str, Any]:
    """The first input on its way: text, tokens, ids, the logits' shape and some of them, probabilities, result."""
    encoded = stages.tokenize([given])
    rows = range(len(encoded.lengths))
    output = stages.forward(stages.batch(encoded, rows))
    result = stages.result(stages.read(output, encoded, rows), given)
    ids = list(encoded.inputs["input_ids"][0])
    facts: dict[str, Any] = {
        "example_text": given if isinstance(given, str) else f"{given.question} {given.context}",
        "example_tokens": stages.tokenizer.convert_ids_to_tokens(ids),
        "example_ids": ids,
    }
    if isinstance(stages, TextClassification):
        logits = output.logits[0].float().cpu()
        facts |= {
            "example_labels": [stages.model.config.id2label[i] for i in range(len(logits))],
            "example_logits": [round(float(x), 4) for x in logits],
            "example_probabilities": [round(float(x), 4) for x in stages.scores(output.logits)[0]],
        }
    if task != "feature-extraction":
        facts["example_result"] = result[:3] if isinstance(result, list) else result
    return facts
