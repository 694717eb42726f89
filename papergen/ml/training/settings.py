"""What a training run may vary: one frozen class, checked when made, importable without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from papergen.core.errors import InvalidParametersError, ParameterFault
from papergen.core.phrase import Phrase
from papergen.experiment.api import Params, words_only
from papergen.ml.model_names import is_hub_id

SIZES = ("n_layer", "n_embd", "n_head", "dropout", "vocab_size")
"""Parameters of a model built from scratch; without effect when a model is given."""

DDP_KNOBS = ("bucket_cap_mb", "gradient_as_bucket_view", "static_graph", "find_unused_parameters", "comm_hook")
"""Parameters that only DistributedDataParallel reads."""


NUM_TRAIN_EPOCHS = 6
"""Passes over the training text when neither num_train_epochs nor max_steps is given."""


class TrainingSettings(Params):
    """Data, model, optimiser and parallelism of one training run; the seed comes from the trial."""

    world_size: int = Field(default=2, ge=1, description="Number of ranks (processes), each holding a replica.")
    strategy: Literal["ddp", "fsdp2", "dp"] = Field(
        default="ddp",
        description="ddp: DistributedDataParallel; fsdp2: sharded by fully_shard; dp: DataParallel over GPUs.",
    )

    model: str | None = Field(
        default=None,
        description="Local folder or Hub id to start from; a new GPT-2-shaped model of the sizes below when absent.",
    )
    n_layer: int = Field(default=2, ge=1, description="Number of transformer blocks.")
    n_embd: int = Field(default=128, ge=2, description="Width of the residual stream.")
    n_head: int = Field(default=4, ge=1, description="Number of attention heads.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout of residuals, embeddings and attention.")
    vocab_size: int = Field(
        default=1024, ge=258, description="Size of the byte-level BPE vocabulary, its 256 bytes and 2 marks included."
    )

    corpus: str = Field(
        default="embedded",
        description="embedded (Python's language reference), or a text file or a folder of them in the project.",
    )
    encoding: str = Field(default="utf-8", description="Encoding of the corpus files.")
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the characters held out for validation."
    )
    documents: Literal["whole", "paragraphs"] = Field(
        default="whole",
        description="whole: an end of text after every file or topic; paragraphs: after every paragraph.",
    )
    block_size: int = Field(
        default=128, ge=2, description="Tokens per training sequence, the positions of a new model."
    )

    batch_size: int = Field(default=16, ge=1, description="Sequences per optimiser step, over all ranks.")
    gradient_accumulation_steps: int = Field(
        default=1, ge=1, description="Forward and backward passes per optimiser step on each rank."
    )
    num_train_epochs: int | None = Field(
        default=None, ge=1, description="Passes over the training text; 6 when max_steps is absent too."
    )
    max_steps: int | None = Field(default=None, ge=1, description="Optimiser steps, in place of num_train_epochs.")
    learning_rate: float = Field(default=3e-3, gt=0, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(default=0.1, ge=0, description="Decoupled weight decay of the weight matrices.")
    adam_beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of AdamW's first moment.")
    adam_beta2: float = Field(default=0.95, ge=0, lt=1, description="Decay of AdamW's second moment.")
    warmup_steps: int = Field(default=50, ge=0, description="Steps of linear warm-up to the peak learning rate.")
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="Decay of the learning rate after the warm-up."
    )
    max_grad_norm: float = Field(default=1.0, ge=0, description="Gradient norm to clip at; 0 leaves it as it is.")
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = Field(
        default="float32",
        description="Arithmetic; bfloat16 and float16 by autocast over float32 weights, float64 for exactness checks.",
    )

    bucket_cap_mb: float | None = Field(
        default=None, gt=0, description="Size of DDP's buckets (MiB); DDP's own if absent."
    )
    gradient_as_bucket_view: bool = Field(default=False, description="Let gradients be views into DDP's buckets.")
    static_graph: bool = Field(default=False, description="Promise DDP that every step has the same graph.")
    find_unused_parameters: bool = Field(default=False, description="Let DDP look for parameters without a gradient.")
    comm_hook: Literal["none", "fp16", "bf16", "powersgd"] = Field(
        default="none", description="Compression of the gradients on the wire."
    )
    powersgd_rank: int = Field(default=2, ge=1, description="Rank of PowerSGD's approximation.")
    no_sync: bool = Field(default=True, description="Reduce gradients on the last accumulation pass only.")
    set_epoch: bool = Field(default=True, description="Reshuffle every epoch; false repeats the first order.")
    loss_average: Literal["tokens", "ranks"] = Field(
        default="tokens",
        description="tokens: mean over a step's target tokens; ranks: mean of the ranks' means, biased if uneven.",
    )
    packing: Literal["stream", "documents"] = Field(
        default="stream",
        description="stream: documents joined and cut into full blocks; documents: none across two, so uneven blocks.",
    )
    torch_compile: bool = Field(default=False, description="Compile the model (GPU only).")

    log_every: int = Field(default=10, ge=1, description="Steps between two points of the training-loss curve.")
    eval_every: int = Field(default=100, ge=0, description="Steps between two validations; 0: only at the end.")
    save_every: int | None = Field(
        default=None,
        ge=0,
        description="Steps between two checkpoints to resume from, 0: none; when absent, about once a minute where a "
        "resume is exact.",
    )
    profile_steps: int = Field(
        default=0, ge=0, description="Steps traced by the profiler for the share of communication; they are not timed."
    )
    timeout_s: int = Field(default=60, ge=1, description="Seconds a collective may take before the run is given up.")

    @property
    def idle_params(self) -> frozenset[str]:
        """The sizes of a new model where one is given; the rank of a compression that is not used."""
        sizes = frozenset() if self.model is None else frozenset(SIZES)
        return sizes if self.comm_hook == "powersgd" else sizes | {"powersgd_rank"}

    @property
    def is_resumable(self) -> bool:
        """Whether a checkpoint holds all that an exact resume needs; where not, none is written unasked."""
        return not self.profile_steps

    @property
    def sequences_per_pass(self) -> int:
        """Sequences in one forward pass of one rank."""
        return self.batch_size // (self.world_size * self.gradient_accumulation_steps)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"encoding = {value!r} is not known to Python. Try utf-8.") from None
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        faults = [fault for check in (self._batch, self._sizes, self._steps, self._parallel) for fault in check()]
        if faults:
            raise InvalidParametersError(*faults)
        return self

    def _batch(self) -> list[ParameterFault]:
        shards = self.world_size * self.gradient_accumulation_steps
        if self.batch_size % shards == 0:
            return []
        below = self.batch_size - self.batch_size % shards
        near = " or ".join(str(size) for size in (below, below + shards) if size)
        product = f"world_size * gradient_accumulation_steps = {self.world_size} * {self.gradient_accumulation_steps}"
        sentence = f"{product} does not divide batch_size = {self.batch_size}. Try {near}."
        return [ParameterFault(sentence, "world_size", "gradient_accumulation_steps", "batch_size")]

    def _sizes(self) -> list[ParameterFault]:
        if self.model is not None:
            idle = [name for name in SIZES if self._changed(name)]
            sentence = f"{', '.join(idle)}: no effect with model = {self.model!r}. Leave it out."
            return [ParameterFault(sentence, *idle, "model")] if idle else []
        if self.n_embd % self.n_head:
            divisors = [str(n) for n in range(1, self.n_embd + 1) if self.n_embd % n == 0]
            near = sorted(divisors, key=lambda n: abs(int(n) - self.n_head))[:2]
            sentence = f"n_head = {self.n_head} does not divide n_embd = {self.n_embd}. Try {' or '.join(near)}."
            return [ParameterFault(sentence, "n_head", "n_embd")]
        return []

    def _steps(self) -> list[ParameterFault]:
        faults = []
        if self.max_steps is not None:
            if self.num_train_epochs is not None:
                faults.append(
                    ParameterFault(
                        f"max_steps = {self.max_steps} and num_train_epochs both say when to stop. Keep one.",
                        "max_steps",
                        "num_train_epochs",
                    )
                )
            if self.warmup_steps > self.max_steps:
                most = f"max_steps = {self.max_steps}"
                faults.append(
                    ParameterFault(
                        f"warmup_steps = {self.warmup_steps} is more than {most}. Try {self.max_steps // 10}.",
                        "warmup_steps",
                        "max_steps",
                    )
                )
        return faults

    def _parallel(self) -> list[ParameterFault]:
        faults = []
        if self.strategy != "ddp":
            idle = [name for name in DDP_KNOBS if self._changed(name)]
            if idle:
                faults.append(
                    ParameterFault(
                        f"{', '.join(idle)}: no effect with strategy = {self.strategy}. Leave it out.",
                        *idle,
                        "strategy",
                    )
                )
        if self.strategy == "dp" and self.world_size != 1:
            faults.append(
                ParameterFault(
                    f"strategy = dp is one process on several GPUs: world_size = {self.world_size} must be 1.",
                    "strategy",
                    "world_size",
                )
            )
        if self.strategy == "fsdp2" and self.world_size == 1:
            faults.append(
                ParameterFault(
                    "strategy = fsdp2 shards over ranks: world_size = 1 leaves nothing to shard. Try 2.",
                    "strategy",
                    "world_size",
                )
            )
        if self.strategy == "dp" and self.torch_compile:
            faults.append(
                ParameterFault(
                    "torch_compile: DataParallel's replicas would all call the first GPU's code. Leave it out.",
                    "torch_compile",
                    "strategy",
                )
            )
        if self.static_graph and self.find_unused_parameters:
            faults.append(
                ParameterFault(
                    "find_unused_parameters has no effect with static_graph, which finds them itself. Keep one.",
                    "find_unused_parameters",
                    "static_graph",
                )
            )
        if self._changed("powersgd_rank") and self.comm_hook != "powersgd":
            faults.append(
                ParameterFault(
                    f"powersgd_rank: no effect with comm_hook = {self.comm_hook}. Leave it out.",
                    "powersgd_rank",
                    "comm_hook",
                )
            )
        if self.profile_steps and self.save_every:
            faults.append(
                ParameterFault(
                    "profile_steps: a run that resumes behind the trace would lack it. Leave save_every out.",
                    "profile_steps",
                    "save_every",
                )
            )
        if self.dtype == "float64" and self.comm_hook in {"fp16", "bf16"}:
            faults.append(
                ParameterFault(
                    f"comm_hook = {self.comm_hook} would undo dtype = float64. Try comm_hook: none.",
                    "comm_hook",
                    "dtype",
                )
            )
        if self.dtype == "float16" and self.strategy == "fsdp2":
            faults.append(
                ParameterFault(
                    "dtype = float16 needs loss scaling, which is not done with fsdp2. Try bfloat16.",
                    "dtype",
                    "strategy",
                )
            )
        if not self.no_sync and self.gradient_accumulation_steps == 1:
            faults.append(
                ParameterFault(
                    "no_sync: false changes nothing with gradient_accumulation_steps = 1. Leave it out.",
                    "no_sync",
                    "gradient_accumulation_steps",
                )
            )
        return faults

    def _changed(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)


def data_digests(settings: TrainingSettings, project: Path) -> dict[str, str]:
    """Name -> digest of the corpus and of a local model folder: what else decides the numbers of a run."""
    from papergen.core.cache import known_folder_digest
    from papergen.ml.training.corpus import load_corpus

    found: dict[str, str] = {"corpus": load_corpus(settings, project).digest}
    folder = local_model(settings, project)
    if folder is not None:
        found["model"] = known_folder_digest(folder)
    return found


def local_model(settings: TrainingSettings, project: Path) -> Path | None:
    """The folder that `model` names, relative to the project; None for a Hub id or a model from scratch.

    What cannot be a Hub id (`./x`, `/x`, `~/x`, more than one slash, a space) is a path, whether it exists or not.
    """
    if settings.model is None:
        return None
    path = project / Path(settings.model).expanduser()
    return path if path.is_dir() or not is_hub_id(settings.model) else None


def describe(settings: TrainingSettings) -> dict[str, Any]:
    """All parameters as JSON values, for a checkpoint to tell whose it is."""
    return settings.model_dump(mode="json", by_alias=True)


@words_only
def unavailable(settings: TrainingSettings, device: str, num_gpus: int) -> str | None:
    """Why these settings cannot run on such a machine, as a sentence for a paper; None when they can."""
    if settings.strategy == "dp" and (device != "cuda" or num_gpus < 2):
        # Without GPUs DataParallel calls the module directly: a "DP" row would be a second name for one process.
        seen = num_gpus if device == "cuda" else 0
        return Phrase(
            f"DataParallel splits a batch over two or more GPUs; this run has {('none', 'one')[seen]}.",
            f"DataParallel 把一批数据分给两块或更多 GPU，而本次运行{('没有 GPU', '只有一块')[seen]}。",
        )
    if settings.comm_hook == "bf16" and settings.world_size > 1 and device != "cuda":
        return Phrase(
            "The bf16 communication hook needs NCCL, and so GPUs; gloo refuses it.",
            "bf16 通信钩子需要 NCCL，因而需要 GPU；gloo 不支持。",
        )
    if settings.torch_compile and device != "cuda":
        return Phrase("torch.compile is used on GPUs only.", "torch.compile 只在 GPU 上使用。")
    return None
