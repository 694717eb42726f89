"""What a measured pipeline may vary: one frozen class, importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from papergen.core.errors import InvalidParametersError, ParameterFault
from papergen.experiment.api import From, Params
from papergen.ml.model_names import model_digests

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


class PipelineSettings(Params):
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
    def _possible(self) -> Self:
        if self.task == "zero-shot-classification" and not self.candidate_labels:
            raise InvalidParametersError(
                ParameterFault("candidate_labels is missing: zero-shot-classification chooses among them.", "task")
            )
        if self.task != "zero-shot-classification" and self.candidate_labels:
            raise InvalidParametersError(
                ParameterFault(
                    f"candidate_labels: no effect with task = {self.task}. Leave it out.", "candidate_labels", "task"
                )
            )
        if "{}" not in self.hypothesis_template:
            raise InvalidParametersError(
                ParameterFault(
                    f"hypothesis_template = {self.hypothesis_template!r} needs {{}} where the label goes.",
                    "hypothesis_template",
                )
            )
        if empty := [index for index, text in enumerate(self.texts, start=1) if not text.strip()]:
            raise InvalidParametersError(ParameterFault(f"texts: number {empty[0]} is empty.", "texts"))
        if self.task == "question-answering" and self.texts:
            raise InvalidParametersError(
                ParameterFault(
                    "texts: a question needs a context; question-answering takes its inputs from the data.",
                    "texts",
                    "task",
                )
            )
        return self


def pipeline_digests(settings: PipelineSettings, project: Path) -> dict[str, str]:
    """Name -> digest of the embedded examples and of a local model folder."""
    from papergen.ml.tasks.embedded import source_digest

    found = {} if settings.texts else {"data": source_digest(DATA[settings.task])}
    return found | model_digests(project, model=settings.model)
