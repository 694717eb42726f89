"""What the loop works on, the same on every rank: text, tokenizer, blocks and a model with equal weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from papergen.ml.distributed import Ranks
from papergen.ml.training.batches import BlockOrder, Blocks, TokenBatch, encode
from papergen.ml.training.corpus import Corpus, load_corpus
from papergen.ml.training.model import build_model, load_pretrained
from papergen.ml.training.settings import TrainingSettings, local_model
from papergen.ml.training.tokenizer import load_tokenizer, train_tokenizer, wrap


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the loop works on."""

    corpus: Corpus
    tokenizer: Any
    train: Blocks
    validation: Blocks
    model: nn.Module
    num_parameters: int


def prepare(settings: TrainingSettings, *, seed: int, ranks: Ranks, project: Path) -> Material:
    """Corpus, tokenizer, token blocks and the unwrapped model with the same weights on every rank."""
    corpus = load_corpus(settings, project)
    source: Path | str | None = local_model(settings, project) or settings.model
    if source is None:
        # Rank 0 learns the tokenizer and sends it: no race for a file, no shared file system needed.
        json = train_tokenizer(corpus.train.values(), vocab_size=settings.vocab_size) if ranks.is_main else None
        tokenizer: Any = wrap(ranks.from_main(json), block_size=settings.block_size)
        torch.manual_seed(derived_seed(seed, "weights"))
        model = build_model(settings, tokenizer)
    else:
        tokenizer = load_tokenizer(source)
        model = load_pretrained(source, block_size=settings.block_size)
    if settings.dtype == "float64":
        model.double()
    blocks = encode(corpus.train.values(), tokenizer, settings.block_size, settings.packing)
    return Material(
        corpus=corpus,
        tokenizer=tokenizer,
        train=blocks.full() if settings.packing == "stream" else blocks,
        validation=encode(corpus.validation.values(), tokenizer, settings.block_size, "stream"),
        model=model,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def derived_seed(seed: int, purpose: str) -> int:
    """A seed of 63 bits for one purpose, so that seed 1 of rank 0 is not seed 0 of rank 1."""
    return int.from_bytes(hashlib.sha256(f"{seed} {purpose}".encode()).digest()[:8], "big") >> 1


def passes(material: Material, order: BlockOrder, step: int, settings: TrainingSettings) -> list[TokenBatch]:
    """A rank's batches of one optimiser step, one per accumulation pass."""
    indices = order.at(step)
    size = len(indices) // settings.gradient_accumulation_steps
    pad = int(material.tokenizer.eos_token_id)
    return [material.train.batch(indices[start : start + size], pad) for start in range(0, len(indices), size)]
