"""Strategies and models that a static cache is tried with, and what equal texts are."""

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.strategy import Strategy

STRATEGIES = {
    "greedy": {},
    "sample": {"do_sample": True, "top_p": 0.9, "num_return_sequences": 3},
    "penalties": {
        "do_sample": True,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "min_new_tokens": 4,
        "sequence_bias": [[[5, 7], -2.0], [[1], 1.0]],
        "exponential_decay_length_penalty": [3, 1.1],
        "eta_cutoff": 0.001,
    },
    "beam": {"num_beams": 4, "num_return_sequences": 2},
    "beam_sample": {"num_beams": 3, "do_sample": True, "top_k": 20},
    "diverse": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    "constrained": {"num_beams": 3, "force_words_ids": [[17, 18]]},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "dola": {"dola_layers": [1], "do_sample": True, "num_return_sequences": 2},
}

WITH_DOLA_FOR_DECODERS = [
    (name, own)
    for name in ("llama", "bart", "t5")
    for own in STRATEGIES.values()
    if name == "llama" or "dola_layers" not in own
]
"""Names of models and strategies; DoLa is for decoder-only models."""
SMALL = {"vocab_size": 61, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1, "max_position_embeddings": 64}
SHAPE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, **SMALL,
}  # fmt: skip
OTHERS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, **SMALL)),
    "mistral with a window": lambda: MistralForCausalLM(MistralConfig(sliding_window=4, **SHAPE)),
    "gemma2, windows in turns": lambda: Gemma2ForCausalLM(Gemma2Config(sliding_window=5, head_dim=8, **SHAPE)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, **SMALL)
    ),
    "opt": lambda: OPTForCausalLM(
        OPTConfig(hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=32,
                  **SMALL)
    ),
    "bloom, positions by alibi": lambda: BloomForCausalLM(BloomConfig(hidden_size=32, n_layer=2, n_head=2, **SMALL)),
}  # fmt: skip


def made(name):
    torch.manual_seed(3)
    model = OTHERS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model.eval()


def texts(model, prompts, own, engine, *, batch_size=6, limit=12, timings=None):
    strategy = Strategy(max_new_tokens=limit, **own)
    return generate(model, None, prompts, strategy, seed=0, batch_size=batch_size, engine=engine, timings=timings)


def assert_same(found, wanted):
    assert [one.ids for one in found] == [one.ids for one in wanted]
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in wanted], abs=1e-4)
    assert [one.score or 0.0 for one in found] == pytest.approx([one.score or 0.0 for one in wanted], abs=1e-4)
    assert [one.is_met for one in found] == [one.is_met for one in wanted]
