"""Tiny models with every head, a tokenizer that knows their words, and texts of unequal length."""

from __future__ import annotations

from typing import Any

import taskslab as lab
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    GPT2Config,
)

TEXTS = ["red green blue", "seven", "nine eight red seven green blue blue red", "green nine"]


LABELS = {"text-classification": ["a", "b", "c"], "zero-shot-classification": ["entailment", "other"]}


LABELS["token-classification"] = ["O", "B-X", "I-X", "B-Y"]


def tokenizer() -> Any:
    return lab.encoder_of(lab.settings_of("masked_lm"), lab.examples("masked_lm")).tokenizer


def model_of(task: str) -> Any:
    torch.manual_seed(1)
    classes = {
        "text-classification": AutoModelForSequenceClassification,
        "zero-shot-classification": AutoModelForSequenceClassification,
        "token-classification": AutoModelForTokenClassification,
        "fill-mask": AutoModelForMaskedLM,
        "feature-extraction": AutoModel,
        "question-answering": AutoModelForQuestionAnswering,
        "text-generation": AutoModelForCausalLM,
    }
    labels = LABELS.get(task, ["x", "y"])
    maps = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    size = len(tokenizer())
    if task == "text-generation":
        config: Any = GPT2Config(vocab_size=size, n_embd=16, n_layer=1, n_head=2, n_positions=64, eos_token_id=3)
    else:
        config = BertConfig(
            vocab_size=size,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=0.6,
            **maps,
        )
    return classes[task].from_config(config).eval()
