"""A task head on a backbone: built from a config, or loaded so that only the head may be new; saved and read back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, BertConfig

from papergen.core.errors import PapergenError
from papergen.ml import models as pretrained
from papergen.ml.tasks.settings import HEADS, TaskSettings


@dataclass(frozen=True)
class Head:
    """A model with its head, and which of its weights were not in what it was loaded from."""

    model: Any
    new_weights: tuple[str, ...]
    """Names of weights drawn anew: the head's, and a pooler that the backbone lacked."""


def auto_class(task: str) -> Any:
    """Transformers' Auto class of the task."""
    return getattr(transformers, f"AutoModel{HEADS[task].removeprefix('Model')}")


def build_head(settings: TaskSettings, tokenizer: Any, labels: Sequence[str]) -> Head:
    """A new BERT-shaped model with the task's head, drawn from torch's global generator."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.num_hidden_layers,
        num_attention_heads=settings.num_attention_heads,
        intermediate_size=4 * settings.hidden_size,
        max_position_embeddings=settings.max_length,
        initializer_range=settings.initializer_range,
        hidden_dropout_prob=settings.hidden_dropout_prob,
        attention_probs_dropout_prob=settings.hidden_dropout_prob,
        pad_token_id=tokenizer.pad_token_id,
        is_decoder=settings.task == "causal_lm",
        **_label_maps(labels),
    )
    model = auto_class(settings.task).from_config(config)
    return Head(model, ("all",))


def load_head(settings: TaskSettings, source: str | Path, labels: Sequence[str]) -> Head:
    """The task's head on the backbone of a folder or Hub id; what is missing may only be the head or a pooler.

    Safetensors only, no remote code. PapergenError names weights of the backbone that are missing or mis-shaped.
    """
    config = pretrained.load_config(AutoConfig, source)
    if settings.task == "causal_lm" and config.model_type == "bert":
        config.is_decoder = True
    for name, value in _label_maps(labels).items():
        setattr(config, name, value)
    if settings.task == "sequence_classification":
        config.problem_type = "single_label_classification"  # not what the model's former head was for
    model, info = pretrained.load_weights(auto_class(settings.task), source, config=config, dtype=torch.float32)
    new = pretrained.untrained(info)
    backbone = f"{model.base_model_prefix}."
    has_backbone = model.base_model is not model
    lost = [name for name in new if (name.startswith(backbone) or not has_backbone) and ".pooler." not in f".{name}"]
    if lost:
        raise PapergenError(
            f"model: {source} lacks weights of the backbone or has them in another shape: {', '.join(lost[:5])}."
        )
    return Head(model, tuple(new))


def load_tokenizer(source: str | Path) -> Any:
    """The fast tokenizer of a folder or Hub id: the offsets of its tokens are needed."""
    tokenizer = pretrained.load_tokenizer(source)
    if not tokenizer.is_fast:
        raise PapergenError(f"model: the tokenizer of {source} is a slow one, which does not tell where tokens stand.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise PapergenError(
            f"model: the tokenizer of {source} has no pad_token, and no eos_token or unk_token to take its place.",
            hint='Add "pad_token": "<a token that no text holds>" to its tokenizer_config.json.',
        )
    return tokenizer


@torch.no_grad()
def reload_difference(task: str, model: Any, folder: Path, batch: dict[str, torch.Tensor]) -> float:
    """Largest difference of an output between the model and the one read back from `folder`; 0 when all is saved.

    It is read back in the model's own dtype, onto its device.
    """
    again = auto_class(task).from_pretrained(folder, dtype=model.dtype, trust_remote_code=False, use_safetensors=True)
    again.to(model.device).eval()
    was_training = model.training
    model.eval()
    inputs = {
        name: value for name, value in batch.items() if name not in {"labels", "start_positions", "end_positions"}
    }
    if task == "feature_extraction" and model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    mine, read = model(**inputs), again(**inputs)
    model.train(was_training)
    pairs = [(mine[name], read[name]) for name in mine if isinstance(mine[name], torch.Tensor)]
    return max(float((one.float() - two.float()).abs().max()) for one, two in pairs)


def _label_maps(labels: Sequence[str]) -> dict[str, Any]:
    if not labels:
        return {}
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


@contextlib.contextmanager
def logits_at(model: Any, places: torch.Tensor) -> Iterator[None]:
    """Logits only where they are asked for: the projection to the vocabulary is half the work of a small model.

    Within it a call of the model gives (1, n, vocabulary) logits: those of the n true `places`, row by row. `places` is
    (batch, time). It holds for any model whose projection transformers can name (`has_projection`): that is given the
    wanted hidden states alone, and what follows it works on each place by itself.
    """

    def select(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        states, *rest = args
        return (states[places.to(states.device)][None], *rest)

    # A hook, since the argument for it (`logits_to_keep`) takes the same places of every row, where a model has it.
    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def has_projection(model: Any) -> bool:
    """Whether transformers can name the layer from hidden states to the vocabulary."""
    return getattr(model, "get_output_embeddings", lambda: None)() is not None
