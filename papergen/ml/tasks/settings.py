"""What fine-tuning and evaluating a task head may vary: one frozen class, importable without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from papergen.core.errors import InvalidParametersError, PapergenError, ParameterFault, did_you_mean
from papergen.experiment.api import From, Params
from papergen.ml.model_names import located_in, model_digests
from papergen.ml.tasks.examples import FIELDS

Task = Literal[
    "feature_extraction",
    "causal_lm",
    "masked_lm",
    "multiple_choice",
    "question_answering",
    "sequence_classification",
    "token_classification",
]

HEADS: dict[str, str] = {
    "feature_extraction": "Model",
    "causal_lm": "ForCausalLM",
    "masked_lm": "ForMaskedLM",
    "multiple_choice": "ForMultipleChoice",
    "question_answering": "ForQuestionAnswering",
    "sequence_classification": "ForSequenceClassification",
    "token_classification": "ForTokenClassification",
}
"""Task -> the suffix of transformers' Auto class."""

EMBEDDED = "embedded"
ENTAILMENT = "embedded:entailment"
"""Pairs for sequence_classification: a line of code, and a sentence that says what it is about."""
NEXT_PARAGRAPH = "embedded:next_paragraph"
"""For multiple_choice: which of four paragraphs comes next; too hard for a backbone that has read little."""
SPECIAL_DATA = {ENTAILMENT: "sequence_classification", NEXT_PARAGRAPH: "multiple_choice"}
"""Further embedded data -> the task that they are for."""
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "initializer_range",
    "hidden_dropout_prob",
)
"""Parameters of a backbone built from scratch; without effect when a model is given."""
TRAINING = (
    "max_steps",
    "num_train_epochs",
    "learning_rate",
    "weight_decay",
    "warmup_ratio",
    "max_grad_norm",
    "group_by_length",
    "dtype",
)
"""Parameters of fine-tuning; without effect where nothing is trained."""
OF_TASK = {"doc_stride": "question_answering", "mlm_probability": "masked_lm", "layer": "feature_extraction"}
"""Parameter -> the task that it is for."""


class TaskSettings(Params):
    """Task, data, backbone and optimiser of one fine-tuning; the seed comes from the trial."""

    task: Task = Field(description="Task head, by transformers' names: sequence_classification, ...")
    model: From | str | None = Field(
        default=None,
        description="{from: experiment}, a local folder or a Hub id to start from; a new BERT-shaped one when absent.",
    )
    hidden_size: int = Field(default=128, ge=4, description="Width of a new backbone.")
    num_hidden_layers: int = Field(default=2, ge=1, description="Layers of a new backbone.")
    num_attention_heads: int = Field(default=4, ge=1, description="Attention heads of a new backbone.")
    vocab_size: int = Field(default=2048, ge=300, description="Size of a new backbone's WordPiece vocabulary.")
    initializer_range: float = Field(
        default=0.06,
        gt=0,
        description="Deviation of a new backbone's weights; the usual 0.02 is for wide ones.",
    )
    hidden_dropout_prob: float = Field(
        default=0.0, ge=0, lt=1, description="Dropout of a new backbone, of its attention too; few passes need none."
    )

    train_file: str = Field(
        default=EMBEDDED,
        description="embedded (made from Python's standard library), embedded:entailment (pairs for zero-shot "
        "classification), embedded:next_paragraph (multiple_choice), a CSV, TSV, JSON or JSONL file, or a folder of "
        "datasets.",
    )
    test_file: str | None = Field(
        default=None, description="File to evaluate on; with train_file: embedded its own test part."
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="The task's field -> the file's column, where they have other names."
    )
    max_train_examples: int = Field(default=2000, ge=1, description="Most examples to train on.")
    max_test_examples: int = Field(default=500, ge=2, description="Most examples to evaluate on.")
    max_length: int = Field(default=96, ge=16, description="Most tokens of an input; longer ones are cut or windowed.")
    doc_stride: int = Field(default=32, ge=1, description="Tokens that windows of a long context share (questions).")
    mlm_probability: float = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="Share of tokens masked in training (masked_lm); an evaluation masks 0.15.",
    )

    layer: int = Field(
        default=-1,
        description="Hidden states that the features are the mean of (feature_extraction): 0 the embeddings, -1 the "
        "last layer.",
    )

    world_size: int = Field(default=1, ge=1, description="Number of ranks (processes), each holding a replica.")
    batch_size: int = Field(default=32, ge=1, description="Examples per optimiser step, over all ranks.")
    group_by_length: bool = Field(
        default=True, description="Train on batches of inputs of like length, in random order: little is padded."
    )
    num_train_epochs: int = Field(default=3, ge=1, description="Passes over the training examples.")
    max_steps: int | None = Field(default=None, ge=1, description="Most optimiser steps, in place of all epochs.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(default=0.01, ge=0, description="Decoupled weight decay of the weight matrices.")
    warmup_ratio: float = Field(default=0.1, ge=0, lt=1, description="Share of the steps for linear warm-up.")
    max_grad_norm: float = Field(default=1.0, ge=0, description="Gradient norm to clip at; 0 leaves it as it is.")
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Arithmetic; bfloat16 by autocast over float32 weights."
    )
    timeout_s: int = Field(default=60, ge=1, description="Seconds a collective may take before the run is given up.")

    @property
    def embedded_data(self) -> str | None:
        """Which of the embedded data sets is used, None with the author's files."""
        if self.train_file in SPECIAL_DATA:
            return self.train_file.removeprefix(f"{EMBEDDED}:")
        return str(self.task) if self.train_file == EMBEDDED else None

    @property
    def is_trained(self) -> bool:
        """Whether the task has a head to fine-tune; features are taken from the backbone as it is."""
        return self.task != "feature_extraction"

    @property
    def idle_params(self) -> frozenset[str]:
        """The sizes of a new backbone where a model is given, and what is for other tasks."""
        idle = {name for name, task in OF_TASK.items() if task != self.task}
        idle |= set() if self.model is None else set(SIZES)
        return frozenset(idle if self.is_trained else idle | set(TRAINING))

    @model_validator(mode="after")
    def _possible(self) -> Self:
        faults = [*self._model_faults(), *self._data_faults()]
        if self.batch_size % self.world_size:
            faults.append(
                ParameterFault(
                    f"world_size = {self.world_size} does not divide batch_size = {self.batch_size}.",
                    "world_size",
                    "batch_size",
                )
            )
        if not self.is_trained and self.world_size > 1:
            faults.append(
                ParameterFault("task = feature_extraction trains nothing: world_size must be 1.", "task", "world_size")
            )
        if faults:
            raise InvalidParametersError(*faults)
        return self

    def _model_faults(self) -> list[ParameterFault]:
        if self.model is not None:
            idle = [name for name in SIZES if getattr(self, name) != type(self).model_fields[name].default]
            sentence = f"{', '.join(idle)}: no effect with a model given. Leave it out."
            return [ParameterFault(sentence, *idle)] if idle else []
        if self.hidden_size % self.num_attention_heads:
            sentence = (
                f"num_attention_heads = {self.num_attention_heads} does not divide hidden_size = {self.hidden_size}."
            )
            return [ParameterFault(sentence, "num_attention_heads", "hidden_size")]
        return []

    def _data_faults(self) -> list[ParameterFault]:
        faults = []
        meant = SPECIAL_DATA.get(self.train_file, self.task)
        if meant != self.task:
            faults.append(
                ParameterFault(
                    f"train_file = {self.train_file} is for {meant}, not {self.task}. Use {EMBEDDED}.",
                    "train_file",
                    "task",
                )
            )
        if self.embedded_data is None and self.test_file is None:
            faults.append(
                ParameterFault(
                    "test_file is missing: what is trained on cannot be what is evaluated on. Name a second file.",
                    "train_file",
                )
            )
        if self.embedded_data is not None and self.test_file is not None:
            faults.append(
                ParameterFault(
                    f"test_file: train_file = {self.train_file} brings its own test part. Leave it out.",
                    "test_file",
                    "train_file",
                )
            )
        if self.embedded_data is not None and self.columns:
            faults.append(
                ParameterFault(
                    f"columns: no effect with train_file = {self.train_file}. Leave it out.", "columns", "train_file"
                )
            )
        fields = (*FIELDS[self.task], "second")
        faults += [
            ParameterFault(f"columns: {self.task} has no field {name!r}. {did_you_mean(name, fields)}", "columns")
            for name in self.columns
            if name not in fields
        ]
        if self.layer != -1 and self.is_trained:
            faults.append(ParameterFault(f"layer: no effect with task = {self.task}. Leave it out.", "layer", "task"))
        if self.embedded_data is None and self.test_file == self.train_file:
            faults.append(
                ParameterFault(
                    f"test_file = {self.test_file} is what is trained on: a model is judged by what it has not seen.",
                    "test_file",
                    "train_file",
                )
            )
        if self.task == "question_answering" and self.doc_stride >= self.max_length // 2:
            faults.append(
                ParameterFault(
                    f"doc_stride = {self.doc_stride} leaves windows of {self.max_length} tokens little new text.",
                    "doc_stride",
                    "max_length",
                )
            )
        return faults


def data_digests(settings: TaskSettings, project: Path) -> dict[str, str]:
    """Name -> digest of the data and of a local model folder."""
    from papergen.core.cache import known_digest, known_folder_digest

    found: dict[str, str] = {}
    if settings.embedded_data is not None:
        from papergen.ml.tasks.embedded import source_digest

        found["data"] = source_digest(settings.embedded_data)
    else:
        for name in ("train_file", "test_file"):
            path = project / Path(str(getattr(settings, name))).expanduser()
            if not path.exists():
                told = f"{name} = {str(getattr(settings, name))!r}: there is no such file ({path})."
                raise PapergenError(told, parameter=name)
            found[name] = known_folder_digest(path) if path.is_dir() else known_digest(path)
    return found | model_digests(project, model=settings.model)


def model_source(model: From | str | None, upstream: Path | None, project: Path) -> str | Path | None:
    """Where the model is: what the other experiment wrote, a folder of the project, or the Hub id."""
    if upstream is not None or not isinstance(model, str):
        return upstream
    return located_in(project, model)
