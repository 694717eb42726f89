"""How steps are run: a growing cache step by step, or a static one whose steps are replayed or compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch._dynamo.exc import TorchDynamoException
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer, EncoderDecoderCache

from papergen.ml.decoding.buffers import SPAN, Buffers
from papergen.ml.decoding.dola import DolaStepper
from papergen.ml.decoding.ragged_stepper import RaggedStepper
from papergen.ml.decoding.static_stepper import StaticDolaStepper, StaticStepper
from papergen.ml.decoding.stepper import Stepper, cache_name
from papergen.ml.decoding.tree import TreeStepper, takes_tree

CacheImplementation = Literal["auto", "dynamic", "static"]
"""transformers' name: `auto` is static where steps can be CUDA graphs, dynamic elsewhere."""

_FROM_BUFFERS = {"attention_mask", "position_ids", "encoder_outputs"}
"""Inputs that a static step has of its own; a model that is given other tensors is not known to work without."""


@dataclass(frozen=True, kw_only=True)
class StepKind:
    """What ran the steps of a batch."""

    cache_implementation: Literal["dynamic", "static"]
    step: Literal["eager", "cuda_graph", "compiled", "compiled_cuda_graph"]
    reason: str = ""
    """Why it was not more than this; empty where nothing was left out that was wanted."""


class Engine:
    """Makes the steppers of one run after another and keeps what outlasts a batch: buffers, graphs, compiled code.

    It holds on to the model that it saw last until `release`. Without `cuda_graphs` a
    static step runs kernel by kernel, to see what graphs contribute. `backend` is the one of `torch.compile`.
    """

    def __init__(
        self,
        cache_implementation: CacheImplementation = "auto",
        *,
        torch_compile: bool = False,
        cuda_graphs: bool = True,
        backend: Any = "inductor",
    ) -> None:
        assert not (torch_compile and cache_implementation == "dynamic"), "what grows is not compiled"
        self.cache_implementation = cache_implementation
        self.torch_compile = torch_compile
        self.num_layers = 0
        """Layers of the cache of the present batch."""
        self._has_graphs = cuda_graphs
        self._backend = backend
        self._model: Any = None
        self._buffers: Buffers | None = None
        self._compiled: Any = None
        self._not_compiled = ""
        self._not_static = ""

    def stepper(
        self,
        model: Any,
        ids: torch.Tensor,
        kwargs: dict[str, Any],
        *,
        max_new: int,
        wants_hidden: bool = False,
        layers: tuple[int, ...] | None = None,
        has_drafts: bool = False,
        fan: int = 1,
    ) -> Stepper:
        """A stepper for a batch; `layers` are DoLa's, drafts want a `WindowStepper`, the rest as for `Stepper`.

        `fan` is how many rows a search has for every prompt.
        """
        if has_drafts:
            self._not_static = "drafts are checked several tokens at a time, of which some are taken back"
            return RaggedStepper(model, ids, kwargs, max_new=max_new)
        self._not_static = self._why_dynamic(model, kwargs)
        if self._not_static:
            if layers is not None:
                return DolaStepper(model, ids, kwargs, layers, max_new=max_new)
            if fan > 1 and takes_tree(model, kwargs):
                return TreeStepper(model, ids, kwargs, max_new=max_new, fan=fan, wants_hidden=wants_hidden)
            return Stepper(model, ids, kwargs, max_new=max_new, wants_hidden=wants_hidden)
        self.num_layers = len(_growing(kwargs).layers)
        if layers is not None:
            return StaticDolaStepper(model, ids, kwargs, layers, max_new=max_new, host=self)
        return StaticStepper(model, ids, kwargs, max_new=max_new, host=self, wants_hidden=wants_hidden)

    def release(self) -> None:
        """Give the memory back; the next batch starts anew."""
        if self._buffers is not None:
            self._buffers.steps.forget()  # steps know their stepper, which knows us
        self._buffers = self._model = self._compiled = None

    @property
    def step_kind(self) -> StepKind:
        """What the steps of the last batch were."""
        if self._not_static:
            return StepKind(cache_implementation="dynamic", step="eager", reason=self._not_static)
        assert self._buffers is not None, "there was a batch"
        refusal = self._buffers.steps.refusal
        is_compiled = self.torch_compile and not self._not_compiled
        reasons = [reason for reason in (self._not_compiled, refusal) if reason]
        if refusal:
            step: Any = "compiled" if is_compiled else "eager"
        else:
            step = "compiled_cuda_graph" if is_compiled else "cuda_graph"
        return StepKind(cache_implementation="static", step=step, reason="; ".join(reasons))

    @property
    def is_compiling(self) -> bool:
        """Whether another shape costs another compilation."""
        return self.torch_compile and not self._not_compiled

    def buffers(self, model: Any) -> Buffers:
        """Those of the model's earlier batches where there were any."""
        kept = self._buffers
        is_kept = kept is not None and self._model is model and kept.device == model.device
        if kept is None or not is_kept or kept.dtype != model.dtype or len(kept.layers) != self.num_layers:
            self._compiled, self._not_compiled = None, ""
            span = 0 if self.torch_compile else SPAN
            kept = self._buffers = Buffers(model, self.num_layers, span=span, has_graphs=self._has_graphs)
            self._model = model
        return kept

    def call(self, model: Any, inputs: dict[str, Any]) -> Any:
        """One forward pass of a step."""
        if self.is_compiling:
            if self._compiled is None:
                self._compiled = torch.compile(
                    lambda **inputs: model(**inputs, return_dict=True),
                    fullgraph=True,
                    dynamic=False,
                    backend=self._backend,
                )
            try:
                return self._compiled(**inputs)
            except TorchDynamoException as error:
                first = str(error).strip().splitlines()[0]
                self._not_compiled = f"torch.compile refused the model: {type(error).__name__}: {first}"
        return model(**inputs, return_dict=True)

    def _why_dynamic(self, model: Any, kwargs: dict[str, Any]) -> str:
        """The reason for a growing cache; empty where a static one is wanted and can be."""
        if self.cache_implementation == "dynamic":
            return "cache_implementation = dynamic"
        if self.cache_implementation == "auto" and not self.torch_compile and model.device.type != "cuda":
            return f"no CUDA graphs on {model.device.type}"
        return why_not_static(model, kwargs)


def why_not_static(model: Any, kwargs: dict[str, Any]) -> str:
    """What keeps this model, with the inputs that `generate` prepared, from steps of static shape; empty if nothing."""
    name = type(model).__name__
    if not kwargs.get("use_cache", True) or not any(hasattr(value, "reorder_cache") for value in kwargs.values()):
        return "use_cache = false"
    # Private flags of transformers, and its own answer to whether a static cache works with an architecture.
    if not getattr(model, "_can_compile_fullgraph", False):
        return f"transformers does not compile {name}"
    attention = model.config._attn_implementation
    if attention not in {"sdpa", "eager"}:
        return f"attention by {attention} takes no mask of static shape"
    cache = _growing(kwargs)
    if type(cache) is not DynamicCache or cache.offloading or not cache.layers:
        return f"{name} has a cache of its own kind, {type(cache).__name__}"
    kinds = {type(layer) for layer in cache.layers} - {DynamicLayer, DynamicSlidingWindowLayer}
    if kinds:
        return f"{name} caches {', '.join(sorted(kind.__name__ for kind in kinds))}"
    tensors = {name for name, value in kwargs.items() if isinstance(value, torch.Tensor | dict)} - _FROM_BUFFERS
    if tensors:
        return f"{name} takes {', '.join(sorted(tensors))}"
    positions = kwargs.get("position_ids")
    if positions is not None and positions.ndim != 2:
        return f"{name} has positions of {positions.ndim} dimensions"
    return ""


def _growing(kwargs: dict[str, Any]) -> Cache:
    """The cache that grows: an encoder-decoder's own part."""
    cache: Cache = kwargs[cache_name(kwargs)]
    return cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
