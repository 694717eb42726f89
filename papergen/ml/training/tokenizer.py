"""A byte-level BPE tokenizer learnt from the training text, in the form that transformers loads from a model folder.

Sennrich et al. 2016 (BPE); Radford et al. 2019 (on bytes, so that every text can be written).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from papergen.core.errors import PapergenError
from papergen.ml import models as pretrained

END_OF_TEXT = "<|endoftext|>"
"""Stands before and after every document: bos and eos in one, as in GPT-2."""

PAD = "<|pad|>"
"""Padding has a token of its own, so that masking it never hides an end of text."""


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> str:
    """The JSON of a byte-level BPE tokenizer with at most `vocab_size` entries; the same text gives the same JSON."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer.to_str()


def wrap(json: str, *, block_size: int) -> PreTrainedTokenizerFast:
    """The tokenizer of `train_tokenizer` for transformers: left padding, as generation needs it."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json),
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=PAD,
        padding_side="left",
        model_max_length=block_size,
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a local model folder or a Hub id; PapergenError when it has none that works here."""
    tokenizer: PreTrainedTokenizerBase = pretrained.load_tokenizer(source)
    if tokenizer.eos_token_id is None:
        raise PapergenError(f"model: the tokenizer of {source} has no end-of-text token (eos_token).")
    return tokenizer
