"""Decoding: ours against a plain loop over prompts and a plain batch through `model.generate`, on the same work.

    python benchmarks/decoding.py [--rounds 5] [--prompts 32]

A GPT-2-shaped model of about 10 M parameters with random weights, prompts of 8 to 64 tokens, 32 new tokens, EOS off,
float32,
all on CPU threads as torch has them. Contenders take turns within every round; medians over the rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from common import interleaved, ratios, save, show
from transformers import GPT2Config, GPT2LMHeadModel

from papergen.decoding.generate import generate
from papergen.decoding.settings import Strategy

NEW_TOKENS = 32

STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "nucleus": {"do_sample": True, "top_p": 0.95},
    "top_k": {"do_sample": True, "top_k": 40},
    "beam": {"num_beams": 4},
    "repetition_penalty": {"repetition_penalty": 1.2},
}


def main() -> None:
    """Run the comparison and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=32)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    config = GPT2Config(
        n_layer=6, n_embd=320, n_head=5, vocab_size=8000, n_positions=256, bos_token_id=0, eos_token_id=0
    )
    model = GPT2LMHeadModel(config).eval()
    lengths = torch.randint(8, 65, (arguments.prompts,)).tolist()
    prompts = [torch.randint(1, config.vocab_size, (length,)).tolist() for length in lengths]
    record: dict[str, Any] = {
        "num_parameters": model.num_parameters(),
        "num_prompts": len(prompts),
        "new_tokens": NEW_TOKENS,
        "num_threads": torch.get_num_threads(),
        "rounds": arguments.rounds,
        "strategies": {},
    }
    for name, changes in STRATEGIES.items():
        table = ratios(interleaved(contenders(model, prompts, changes), rounds=arguments.rounds), "papergen")
        show(name, table)
        record["strategies"][name] = table
    print(save("decoding-cpu", record))


def contenders(model: Any, prompts: list[list[int]], changes: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """The three ways to do the same work."""
    strategy = Strategy.model_validate({"max_new_tokens": NEW_TOKENS, "eos_token_id": None, **changes})
    plain = {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS, "pad_token_id": 0, **changes}
    if changes.get("do_sample"):
        plain.setdefault("top_k", 0)

    def ours() -> None:
        generate(model, None, prompts, strategy, seed=0, batch_size=len(prompts))

    def loop() -> None:
        for prompt in prompts:
            model.generate(torch.tensor([prompt]), **plain)

    def batch() -> None:
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        model.generate(ids, attention_mask=mask, **plain)

    return {"papergen": ours, "plain loop": loop, "plain batch": batch}


if __name__ == "__main__":
    main()
