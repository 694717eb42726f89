"""Pipelines taken apart: tokenizer -> model -> post-processing, each stage timed, and compared with transformers' own.

A row is one pipeline on one model. Its results are those of `transformers.pipeline`, checked in every trial; question
answering, which transformers 5 removed, is provided with the former semantics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from papergen.errors import PapergenError
from papergen.experiment import Context, From, Metric
from papergen.experiment import Params as Base

if TYPE_CHECKING:
    from papergen.report.figures import Figure
    from papergen.report.parts import Part, View
    from papergen.report.tables import Table

LABEL = "Pipelines in three stages"

STAGES = ("tokenize", "forward", "postprocess")

METRICS = (
    *(
        Metric(name=f"{stage}_ms", label=label, unit="ms", direction="lower", over="rounds")
        for stage, label in zip(STAGES, ("Tokenizer", "Model", "Post-processing"), strict=True)
    ),
    Metric(name="total_ms", label="Total", unit="ms", direction="lower", over="rounds"),
    *(
        Metric(name=f"{stage}_mib", label=f"{label} memory", unit="MiB", direction="lower")
        for stage, label in zip(STAGES, ("Tokenizer", "Model", "Post-processing"), strict=True)
    ),
    Metric(name="padding", label="Padding", unit="%", direction="lower"),
    Metric(name="num_batches", label="Batches"),
    Metric(name="one_by_one_ms", label="One by one", unit="ms", direction="lower", over="rounds"),
    Metric(name="speedup", label="Speed-up", direction="higher"),
    Metric(name="largest_difference", label="Difference", direction="lower"),
)

DATA: Mapping[str, str] = {
    "text-classification": "sequence_classification",
    "zero-shot-classification": "entailment",
    "token-classification": "token_classification",
    "fill-mask": "masked_lm",
    "text-generation": "causal_lm",
    "feature-extraction": "feature_extraction",
    "question-answering": "question_answering",
}
"""Pipeline -> the embedded data whose test part it is given."""


class Params(Base):
    """One pipeline, the model it runs, and how its inputs are batched."""

    task: Literal[
        "text-classification",
        "token-classification",
        "fill-mask",
        "text-generation",
        "feature-extraction",
        "zero-shot-classification",
        "question-answering",
    ] = Field(description="Pipeline, by transformers' names.")
    model: From | str = Field(description="{from: experiment}, a local model folder, or a name on the Hub.")
    texts: list[str] = Field(default_factory=list, description="Inputs; test examples of the embedded data if absent.")
    num_inputs: int = Field(default=64, ge=1, description="How many test examples are taken without texts.")
    batch_size: int | None = Field(
        default=None, ge=1, description="Rows per forward pass; as many as make batch_tokens when absent."
    )
    batch_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Tokens per forward pass, padding included; absent: 512 on a CPU, 16384 on a GPU.",
    )
    padding: Literal["longest", "max_length"] = Field(
        default="longest", description="Pad to the longest input of a batch, or always to max_length."
    )
    group_by_length: bool = Field(
        default=True, description="Batch inputs of like length together; results keep the order of the inputs."
    )
    max_length: int = Field(default=96, ge=8, description="Most tokens of an input.")
    top_k: int = Field(default=5, ge=1, description="Candidates for a mask (fill-mask).")
    max_new_tokens: int = Field(default=20, ge=1, description="Tokens to generate (text-generation).")
    candidate_labels: list[str] = Field(default_factory=list, description="Labels (zero-shot-classification).")
    hypothesis_template: str = Field(
        default="This is about {}.", description="Sentence that a label completes (zero-shot-classification)."
    )
    doc_stride: int = Field(default=32, ge=1, description="Tokens that windows share (question-answering).")
    max_answer_length: int = Field(default=15, ge=1, description="Most tokens of an answer (question-answering).")
    handle_impossible_answer: bool = Field(
        default=False, description="Let the answer be that there is none (question-answering)."
    )
    num_rounds: int = Field(default=5, ge=2, description="Timed passes over all inputs.")

    @model_validator(mode="after")
    def _possible(self) -> Params:
        if self.task == "zero-shot-classification" and not self.candidate_labels:
            raise ValueError("candidate_labels is missing: zero-shot-classification chooses among them.")
        if self.task != "zero-shot-classification" and self.candidate_labels:
            raise ValueError(f"candidate_labels: no effect with task = {self.task}. Leave it out.")
        if "{}" not in self.hypothesis_template:
            raise ValueError(f"hypothesis_template = {self.hypothesis_template!r} needs {{}} where the label goes.")
        if self.task == "question-answering" and self.texts:
            raise ValueError("texts: a question needs a context; question-answering takes its inputs from the data.")
        return self


def is_seeded(params: Params) -> bool:
    """Nothing is drawn at random."""
    return False


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The embedded examples, and the model folder when it is named by path."""
    from papergen.known_digests import known_folder_digest
    from papergen.tasks.embedded import source_digest

    found = {} if params.texts else {"data": source_digest(DATA[params.task])}
    if isinstance(params.model, str):
        folder = project / Path(params.model).expanduser()
        if folder.is_dir():
            found["model"] = known_folder_digest(folder)
        elif params.model.startswith((".", "/", "~")) or params.model.count("/") > 1:
            raise PapergenError(f"model = {params.model!r}: there is no such folder.")
    return found


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Run the stages, compare with transformers' own pipeline, and time both."""
    from papergen.tasks.agreement import TOLERANCE, call_pipeline, largest_difference, pipeline_of
    from papergen.tasks.inputs import inputs_for, load_for
    from papergen.tasks.stages import Options, stages_of
    from papergen.tasks.staging import run_stages, seconds_of

    source: str | Path | None = ctx.upstream.get("model")
    if source is None:
        folder = ctx.project / Path(str(params.model)).expanduser()
        source = folder if folder.is_dir() else str(params.model)
    model, tokenizer = load_for(params.task, source, device=ctx.device)
    names = {field.name for field in dataclasses.fields(Options)}
    options = Options(**params.model_dump(include=names))
    inputs = inputs_for(params.task, params.texts, DATA[params.task], params.num_inputs, tokenizer)
    stages = stages_of(params.task, model, tokenizer, options)
    batches: dict[str, Any] = {
        "batch_size": params.batch_size,
        "batch_tokens": params.batch_tokens,
        "group_by_length": params.group_by_length,
        "device": ctx.device,
    }
    run_stages(stages, inputs[:1], device=ctx.device)  # what is loaded at the first use is no stage's memory
    measured = run_stages(stages, inputs, with_memory=True, **batches)
    pipe = pipeline_of(params.task, model, tokenizer)
    metrics: dict[str, float] = {"padding": measured.padding, "num_batches": measured.num_batches}
    # Resident memory grows by pages and by what the allocator asks for at a time: tenths are what it can tell.
    metrics |= {f"{stage}_mib": round(mib, 1) for stage, mib in measured.memory_mib.items()}
    if pipe is not None:
        theirs = call_pipeline(pipe, params.task, inputs, options)
        difference = largest_difference(measured.results, theirs)
        if difference > TOLERANCE:
            raise PapergenError(f"{params.task}: the stages differ from transformers' pipeline by {difference}.")
        metrics["largest_difference"] = difference

    def one_by_one() -> Any:
        """The library's pipeline, one input after the other; the stages themselves where the library has none."""
        if pipe is not None:
            return call_pipeline(pipe, params.task, inputs, options)
        return run_stages(stages, inputs, batch_size=1, device=ctx.device)

    rounds: dict[str, list[float]] = {f"{stage}_ms": [] for stage in STAGES}
    alone: list[float] = []
    for index in range(params.num_rounds):
        again = run_stages(stages, inputs, **batches)
        for stage, seconds in again.seconds.items():
            rounds[f"{stage}_ms"].append(1e3 * seconds / len(inputs))
        alone.append(1e3 * seconds_of(one_by_one) / len(inputs))
        ctx.step(index + 1, params.num_rounds)
    rounds["total_ms"] = [sum(parts) for parts in zip(*rounds.values(), strict=True)]
    rounds["one_by_one_ms"] = alone
    for name, values in rounds.items():
        ctx.units(name, values)
        metrics[name] = sum(values) / len(values)
    metrics["speedup"] = metrics["one_by_one_ms"] / metrics["total_ms"]
    for given, result in zip(inputs, measured.results, strict=True):
        if params.task != "feature-extraction":
            shown = given if isinstance(given, str) else dataclasses.asdict(given)
            ctx.sample(input=shown, result=result)
    for name, value in travelling(params, stages, inputs[0], tokenizer).items():
        ctx.fact(name, value)
    return metrics


def travelling(params: Params, stages: Any, given: Any, tokenizer: Any) -> dict[str, Any]:
    """The first input on its way: text, tokens, ids, the logits' shape and some of them, probabilities, result."""
    import torch

    from papergen.tasks.stages import softmax

    with torch.inference_mode():
        encoded = stages.tokenize([given])
        rows = range(len(encoded.lengths))
        output = stages.forward(stages.batch(encoded, rows))
        result = stages.result(stages.read(output, encoded, rows), given)
    ids = list(encoded.inputs["input_ids"][0])
    facts: dict[str, Any] = {
        "example_text": given if isinstance(given, str) else f"{given.question} {given.context}",
        "example_tokens": tokenizer.convert_ids_to_tokens(ids),
        "example_ids": ids,
    }
    if params.task == "text-classification":
        logits = output.logits[0].float().cpu()
        labels = [stages.model.config.id2label[i] for i in range(len(logits))]
        facts |= {
            "example_labels": labels,
            "example_logits": [round(float(x), 4) for x in logits],
            "example_probabilities": [round(float(x), 4) for x in softmax(logits[None])[0]],
        }
    if params.task != "feature-extraction":
        facts["example_result"] = result[:3] if isinstance(result, list) else result
    return facts


def report(view: View) -> Part:
    """Time of the stages, the effect of batches and padding, one example on its way, settings and method."""
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.parts import Part

    text = {"method": method(view)}
    example = travel(view)
    return Part(
        tables=(
            stages_table(view),
            batches_table(view),
            hyperparameter_table({row: view.params(row) for row in view.rows}),
        ),
        figures=(time_by_stage(view), *probabilities(view)),
        texts={**text, **({"example": example} if example is not None else {})},
    )


def row_label(row: str) -> str:
    """What a row is called in tables and figures."""
    from papergen.report import tables

    return tables.row_label(row)


def stages_table(view: View) -> Table:
    """Milliseconds per input of every stage, and the same inputs one by one through transformers."""
    names = [*(f"{stage}_ms" for stage in STAGES), "total_ms", "one_by_one_ms", "speedup", "largest_difference"]
    return _table(view, "stages", names)


def batches_table(view: View) -> Table:
    """What batches cost: how many there are, their padding, and the memory of every stage where it is known."""
    table = _table(view, "batches", ["num_batches", "padding", *(f"{stage}_mib" for stage in STAGES)])
    # Short headings: the caption says that these are memory in MiB.
    short = dict(zip((f"{stage}_mib" for stage in STAGES), ("Tokenizer", "Model", "Post-processing"), strict=True))
    columns = [
        dataclasses.replace(column, heading=short[column.name], unit="") if column.name in short else column
        for column in table.columns
    ]
    return dataclasses.replace(table, columns=tuple(columns))


def _table(view: View, name: str, metrics: list[str]) -> Table:
    """Means of the metrics that some row has; rows differ in what they do, so that none is marked as the best."""
    from papergen.report.tables import table_of

    reported = {metric for row in view.rows for metric in view.finished(row)[0].outcome.metrics}
    table = table_of(
        view.results, name, view.experiment, [metric for metric in metrics if metric in reported],
        labels=row_label, corner="Pipeline", show="mean", varies={"data"}, marks_best=False,
    )  # fmt: skip
    return dataclasses.replace(
        table, columns=tuple(dataclasses.replace(column, direction="none") for column in table.columns)
    )


def time_by_stage(view: View) -> Figure:
    """Where the time of an input goes."""
    from papergen.report.figures import Figure, Series

    series = []
    for stage, label in zip(STAGES, ("tokenizer", "model", "post-processing"), strict=True):
        values = [view.value(row, f"{stage}_ms") for row in view.rows]
        series.append(
            Series(
                label=label,
                x=[row_label(row) for row in view.rows],
                y=[value.mean for value in values],
                digests=[digest for value in values for digest in value.digests],
            )
        )
    return Figure(
        name="stages",
        kind="bar",
        series=tuple(series),
        x_label="",
        y_label="Time per input (ms)",
        y_scale="log",
    )


def _example_row(view: View) -> str | None:
    return next((row for row in view.rows if "example_logits" in view.finished(row)[0].outcome.facts), None)


def probabilities(view: View) -> tuple[Figure, ...]:
    """The last two stages of one example: logits, and what the softmax makes of them."""
    from papergen.report.figures import Figure, Series

    row = _example_row(view)
    if row is None:
        return ()
    result = view.finished(row)[0]
    facts = result.outcome.facts
    digests = (result.trial.digest,)
    order = sorted(range(len(facts["example_labels"])), key=lambda i: -facts["example_logits"][i])
    names = [facts["example_labels"][i] for i in order]
    return (
        Figure(
            name="probabilities",
            kind="bar",
            series=(
                Series(label="logit", x=names, y=[facts["example_logits"][i] for i in order], digests=digests),
                Series(
                    label="probability", x=names, y=[facts["example_probabilities"][i] for i in order], digests=digests
                ),
            ),
            x_label="",
            y_label="Logit and probability",
        ),
    )


TRAVEL_ZH = {
    "text": "文本",
    "tokens": "词元",
    "ids": "编号",
    "probabilities": "概率",
    "label": "类别",
    "tokenizer": "分词器",
    "vocabulary": "词表",
    "model": "模型",
    "largest": "取最大",
}


def travel(view: View) -> Any:
    """The stages of one example as boxes below each other, for a figure environment."""
    from papergen.report.tex import Tex

    row = _example_row(view)
    if row is None:
        return None
    facts = view.finished(row)[0].outcome.facts
    tokens, ids = facts["example_tokens"], facts["example_ids"]
    best = max(range(len(facts["example_logits"])), key=lambda i: facts["example_logits"][i])
    more = r" \dots" if len(tokens) > 10 else ""
    boxes = [
        ("text", view.escape(_cut(facts["example_text"], 110))),
        ("tokens", r"\ \ ".join(rf"\texttt{{{view.escape(token)}}}" for token in tokens[:10]) + more),
        ("ids", ", ".join(map(str, ids[:10])) + more),
        ("logits", ", ".join(f"${logit:.2f}$" for logit in facts["example_logits"])),
        ("probabilities", ", ".join(f"${p:.3f}$" for p in facts["example_probabilities"])),
        ("label", rf"\textbf{{{view.escape(facts['example_labels'][best])}}}"),
    ]
    arrows = {"tokens": "tokenizer", "ids": "vocabulary", "logits": "model", "probabilities": "softmax"}
    said = TRAVEL_ZH if view.language == "zh" else {}
    lines = [r"{\small\setlength{\fboxsep}{3pt}\centering"]
    for name, content in boxes:
        if name != "text":
            stage = arrows.get(name, "largest")
            stage = said.get(stage, stage)
            lines.append(rf"\par\vspace{{1pt}}$\downarrow$~{{\footnotesize\emph{{{stage}}}}}\par\vspace{{1pt}}")
        lines.append(rf"\fbox{{\parbox{{.92\linewidth}}{{\raggedright\emph{{{said.get(name, name)}}}: {content}}}}}")
    return Tex("\n".join(lines) + "\\par}\n")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} ..."


def method(view: View) -> Any:
    """The set-up in words."""
    from papergen.report.tex import Tex

    first: Any = view.params(view.rows[0])
    tasks = ", ".join(dict.fromkeys(view.params(row).task for row in view.rows))  # type: ignore[attr-defined]
    if view.language == "zh":
        return Tex(
            f"Transformers~\\cite{{wolf2020transformers}} 的流水线有三个阶段：分词器把文本变成数字，"
            f"模型把数字变成 logit，后处理把 logit 变成答案。我们对 {view.escape(tasks)} 分别运行各个阶段，"
            f"除另行说明外，每项取 {first.num_inputs} 个输入，"
            f"{_batches_zh(first)}，共 {first.num_rounds} 轮，"
            f"并把结果与库自带的、逐个输入调用的流水线相比较。"
            f"时间按每个输入计。\n"
        )
    return Tex(
        f"A pipeline of Transformers~\\cite{{wolf2020transformers}} has three stages: a tokenizer turns text into "
        f"numbers, a model turns numbers into logits, and post-processing turns logits into an answer. We run the "
        f"stages apart for {view.escape(tasks)}, on {first.num_inputs} inputs in {_batches(first)} unless "
        f"stated otherwise, in {first.num_rounds} rounds, and compare the results with those of the library's own "
        f"pipeline, called for one input after the other. Time is per input.\n"
    )


def _batches(params: Any) -> str:
    if params.batch_size is not None:
        return f"batches of {params.batch_size}"
    tokens = "" if params.batch_tokens is None else f" of {params.batch_tokens} tokens"
    return f"batches{tokens} made of inputs of like length" if params.group_by_length else f"batches{tokens}"


def _batches_zh(params: Any) -> str:
    if params.batch_size is not None:
        return f"以 {params.batch_size} 个为一批"
    tokens = "" if params.batch_tokens is None else f"以 {params.batch_tokens} 个词元为一批，"
    return f"{tokens}长度相近的输入编入同一批" if params.group_by_length else f"{tokens}按给定顺序分批"
