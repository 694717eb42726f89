"""What a decoding trial works on: a strategy, the model it decodes, the text its prompts come from; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from papergen.core.cache import known_digest
from papergen.core.errors import InvalidParametersError, ParameterFault
from papergen.experiment.api import From
from papergen.experiment.shared_models import SharedModel
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.model_names import LOADER, located_in, model_digests


class DecodingSettings(Strategy):
    """A strategy and its material: what the kinds that generate text have in common."""

    model: From | str = Field(
        description="{from: experiment}, a local model folder, or a name on the Hugging Face Hub."
    )
    scorer: str | None = Field(
        default=None, description="A second model whose perplexity is reported beside that of the generating model."
    )
    mauve_model: str | None = Field(
        default=None, description="Model whose features MAUVE compares with human text; no MAUVE when absent."
    )
    corpus: str = Field(default="embedded", description="Text whose held-out part gives the prompts; as in training.")
    encoding: str = Field(default="utf-8", description="Encoding of the corpus files.")
    documents: Literal["whole", "paragraphs"] = Field(
        default="whole", description="Where documents of the corpus end; as in training."
    )
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the corpus that is held out; as in training."
    )
    num_prompts: int = Field(default=64, ge=2, description="Held-out passages to continue.")
    prompt_tokens: int = Field(default=32, ge=1, description="Tokens of a passage that the model is shown.")
    max_new_tokens: int | None = Field(default=96, ge=1, description="Most tokens to generate per prompt.")
    batch_size: int = Field(default=32, ge=1, description="Prompts per batch; decides the speed, not the text.")
    world_size: int = Field(
        default=1,
        ge=1,
        description="Number of ranks (processes), each with the model and a share of the batches; decides the speed,"
        " not the text.",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="Arithmetic of the model.")
    cache_implementation: Literal["auto", "dynamic", "static"] = Field(
        default="auto",
        description="Keys and values of past tokens: `static` never changes shape, so that a step can be a CUDA graph;"
        " `auto` is static on CUDA, dynamic elsewhere. Decides the speed, not the text.",
    )
    torch_compile: bool = Field(
        default=False,
        description="Compile the steps of a static cache, for minutes of work on long runs; shapes cost one each.",
    )
    reference: bool = Field(default=False, description="Measure the human continuation instead of generating one.")

    @model_validator(mode="before")
    @classmethod
    def _one_limit(cls, data: Any) -> Any:
        """The default of max_new_tokens gives way to a max_length."""
        if isinstance(data, Mapping) and data.get("max_length") is not None and "max_new_tokens" not in data:
            return {**data, "max_new_tokens": None}
        return data

    @model_validator(mode="after")
    def _steps_are_possible(self) -> DecodingSettings:
        if self.torch_compile and self.cache_implementation == "dynamic":
            raise InvalidParametersError(
                ParameterFault(
                    "torch_compile = true compiles steps of one shape, and cache_implementation = dynamic has none."
                    " Try cache_implementation: auto.",
                    "torch_compile",
                    "cache_implementation",
                )
            )
        asking = "torch_compile" if self.torch_compile else "cache_implementation"
        wanted = "torch_compile = true" if self.torch_compile else "cache_implementation = static"
        if not self.use_cache and (self.torch_compile or self.cache_implementation == "static"):
            raise InvalidParametersError(
                ParameterFault(
                    f"{wanted} is about a cache, and use_cache = false leaves none. Keep one of them.",
                    asking,
                    "use_cache",
                )
            )
        return self

    @model_validator(mode="after")
    def _prompts_have_room(self) -> DecodingSettings:
        most = None if self.max_new_tokens is None else self.prompt_tokens + self.max_new_tokens
        if self.min_length is not None and most is not None and self.min_length > most:
            raise InvalidParametersError(
                ParameterFault(
                    f"min_length = {self.min_length} is above the prompt_tokens + max_new_tokens ="
                    f" {self.prompt_tokens} + {self.max_new_tokens} tokens there may be.",
                    "min_length",
                    "prompt_tokens",
                    "max_new_tokens",
                )
            )
        return self

    @model_validator(mode="after")
    def _every_rank_has_a_batch(self) -> DecodingSettings:
        num_batches = -(-self.num_prompts // self.batch_size)
        if self.world_size > self.num_prompts:
            raise InvalidParametersError(
                ParameterFault(
                    f"world_size = {self.world_size} ranks cannot share num_prompts = {self.num_prompts}."
                    f" Try world_size: {self.num_prompts}.",
                    "world_size",
                    "num_prompts",
                )
            )
        if self.world_size > num_batches:
            raise InvalidParametersError(
                ParameterFault(
                    f"world_size = {self.world_size} ranks share batches, and num_prompts = {self.num_prompts} in"
                    f" batches of batch_size = {self.batch_size} are {num_batches}."
                    f" Try batch_size: {self.num_prompts // self.world_size}.",
                    "world_size",
                    "num_prompts",
                    "batch_size",
                )
            )
        return self

    @property
    def num_ranks(self) -> int:
        """Processes of the trial: one where nothing is generated that could be shared."""
        return 1 if self.reference else self.world_size

    @property
    def reference_tokens(self) -> int:
        """Most tokens of a human continuation: as many as a decoder-only model may generate."""
        return self.max_new_tokens or (self.max_length or 0) - self.prompt_tokens

    @property
    def draws(self) -> bool:
        """Whether the seed changes the text."""
        return not self.reference and not self.is_deterministic

    def at(self, project: Path) -> Self:
        """The same with the assistant where it is: a folder of the project by its path."""
        if self.assistant_model is None:
            return self
        return self.model_copy(update={"assistant_model": located_in(project, self.assistant_model)})

    def reference_faults(self) -> ParameterFault | None:
        """Why a row cannot be the human reference and this strategy at once."""
        if self.reference and (self.do_sample or self.num_beams > 1 or self.num_return_sequences > 1):
            return ParameterFault(
                "reference = true measures the human text and generates nothing. Leave the strategy out.", "reference"
            )
        return None


def digests(params: DecodingSettings, project: Path) -> dict[str, str]:
    """Name -> digest of every model folder that is named by path, and of an algorithm that a package brings.

    PapergenError for a path that is not there.
    """
    own = params.algorithm.file
    algorithm = {} if own is None else {"algorithm": known_digest(own)}
    names = ("model", "scorer", "mauve_model", "assistant_model")
    return algorithm | model_digests(project, **{name: getattr(params, name) for name in names})


def model_source(params: DecodingSettings, upstream: Mapping[str, Path], project: Path) -> str:
    """Where the generating model is: what the other experiment wrote, a folder of the project, or the Hub id."""
    if "model" in upstream:
        return str(upstream["model"])
    assert isinstance(params.model, str), "an upstream model comes by its folder"
    return located_in(project, params.model)


def shared_models(params: DecodingSettings, upstream: Mapping[str, Path], project: Path) -> list[SharedModel]:
    """Every model that the trial loads, for the fork server."""
    others = (params.scorer, params.mauve_model, params.assistant_model)
    places = [model_source(params, upstream, project), *(located_in(project, name) for name in others if name)]
    return [(LOADER, place, params.dtype) for place in places]
