"""The oracle's models and cases, and tiny random models of other architectures."""

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from papergen.ml.models import load_model, load_tokenizer

ORACLE = Path(__file__).parents[1] / "oracle"


@pytest.fixture(scope="session")
def oracle():
    return json.loads((ORACLE / "open" / "cases.json").read_text())


@pytest.fixture(scope="session")
def models(oracle):
    return {name: load_model(ORACLE / f"model_{name}") for name in ("trained", "random")}


@pytest.fixture(scope="session")
def tokenizer(oracle):
    return load_tokenizer(ORACLE / "model_trained")


def _sharp(model):
    """Larger weights, so that the distributions of a random model are not flat."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model.eval()


@pytest.fixture(scope="session")
def llama():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=1,
    )
    return _sharp(LlamaForCausalLM(config))


@pytest.fixture(scope="session")
def t5():
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=61,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )
    return T5ForConditionalGeneration(config).eval()


@pytest.fixture(scope="session")
def bart():
    torch.manual_seed(2)
    config = BartConfig(
        vocab_size=61,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=1,
        decoder_start_token_id=1,
        forced_eos_token_id=None,
    )
    return _sharp(BartForConditionalGeneration(config))


@pytest.fixture(scope="session")
def prompts():
    """Token ids of unequal lengths that every tiny model has."""
    return [[5, 9, 33], [40], [7, 8, 9, 10, 11], [22, 57], [13, 3, 60, 44], [19, 19, 19]]


@pytest.fixture(scope="session")
def gpt2():
    torch.manual_seed(3)
    shape = {"vocab_size": 61, "n_positions": 64, "bos_token_id": 1, "eos_token_id": 1}
    model = GPT2LMHeadModel(GPT2Config(n_layer=3, n_embd=32, n_head=4, **shape))
    return _sharp(model)
