"""Decoding on a GPU at batch 1: how much of the memory bandwidth it uses, and how it compares with plain `generate`.

    python benchmarks/decoding_gpu.py [--rounds 5] [--new-tokens 128]

A Llama-shaped model of 1.1 billion parameters with random weights in bfloat16, greedy decoding of one prompt, EOS off.
At batch 1 every step reads all weights but the table of the input embeddings once, so the floor of a step is their
bytes over the bandwidth, which is measured here by copying. Without CUDA nothing is measured and the exit status is 3;
`--try-on-cpu` runs every line on a small model, for its correctness only, and saves nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from common import interleaved, ratios, save, show
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from papergen.decoding.generate import generate
from papergen.decoding.settings import Strategy

LARGE = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32}
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}


def main() -> None:
    """Run the comparison and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--try-on-cpu", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.try_on_cpu:
        print("decoding_gpu: no CUDA device here, nothing was measured", file=sys.stderr)
        sys.exit(3)
    logging.set_verbosity_error()
    device = "cpu" if arguments.try_on_cpu else "cuda"
    model = make_model(device, SMALL if arguments.try_on_cpu else LARGE)
    ways = contenders(model, device, arguments.new_tokens)
    table = ratios(interleaved(ways, rounds=arguments.rounds, warmup=2), "papergen")
    show("greedy, batch 1", table)
    table_of_inputs = model.get_input_embeddings().weight
    read = sum(one.numel() * one.element_size() for one in model.parameters() if one is not table_of_inputs)
    floor_s = read / bandwidth(device)
    shares = {name: floor_s * arguments.new_tokens / row["median_s"] for name, row in table.items()}
    for name, share in shares.items():
        print(f"  {name:<28} {100 * share:.0f} % of the bandwidth roofline")
    if not arguments.try_on_cpu:
        record = {"num_parameters": model.num_parameters(), "weight_bytes": read, "floor_s_per_token": floor_s}
        gpu = torch.cuda.get_device_name()
        print(save("decoding-gpu", {**record, "gpu": gpu, "greedy": table, "share_of_roofline": shares}))


def make_model(device: str, shape: dict[str, int]) -> Any:
    """Random weights, drawn where they stay."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=32000, max_position_embeddings=2048, num_key_value_heads=4, **shape)
    with torch.device(device):
        return LlamaForCausalLM(config).to(torch.bfloat16).eval()


def contenders(model: Any, device: str, new_tokens: int) -> dict[str, Callable[[], Any]]:
    """One prompt of 32 tokens: ours, plain `generate`, and that with a static cache, which it compiles."""
    prompt = torch.randint(3, 32000, (32,)).tolist()
    strategy = Strategy(max_new_tokens=new_tokens, eos_token_id=None)
    ids = torch.tensor([prompt], device=device)
    plain = {"attention_mask": torch.ones_like(ids), "max_new_tokens": new_tokens, "eos_token_id": None}

    def timed(run: Callable[[], Any]) -> Callable[[], None]:
        def call() -> None:
            run()
            synchronise(device)

        return call

    return {
        "papergen": timed(lambda: generate(model, None, [prompt], strategy, seed=0, batch_size=1)),
        "plain generate": timed(lambda: model.generate(ids, pad_token_id=0, do_sample=False, **plain)),
        "plain, static cache": timed(
            lambda: model.generate(ids, pad_token_id=0, do_sample=False, cache_implementation="static", **plain)
        ),
    }


def bandwidth(device: str, *, num_bytes: int = 2**30, repeats: int = 20) -> float:
    """Bytes per second that a copy reads and writes, the median of repeats after a warm-up."""
    source = torch.empty(num_bytes if device == "cuda" else 2**22, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(repeats + 3):
        synchronise(device)
        start = time.perf_counter()
        target.copy_(source)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 2 * source.numel() / statistics.median(seconds[3:])


def synchronise(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
