"""Decoding on a GPU: how much of the memory bandwidth it uses at batch 1, what graphs contribute, and plain `generate`.

    python benchmarks/decoding_gpu.py [--size 1b|3b|8b] [--rounds 5] [--new-tokens 128] [--seconds 420] [--out FILE]
    python benchmarks/decoding_gpu.py --device cpu --size tiny       # every line, for its correctness; saves nothing

Llama-shaped models with random weights in bfloat16, end of text off. At batch 1 every step reads all weights but the
table of the input embeddings once, so the floor of a step is their bytes over the bandwidth, which is measured here by
copying. Contenders take turns; what is compared in each round is papergen as it comes (a CUDA graph per step) with
papergen compiled, with single steps on the same static cache, with its growing cache, and with transformers' `generate`
as it comes and with a static cache, which it compiles and captures. The result is written after every part, and parts
for which no time is left are named in it.

Without CUDA nothing is measured and the exit status is 3.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import interleaved, ratios, save, show
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from papergen.ml.decoding.engine import Engine
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.strategy import Strategy

SIZES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32},
    "3b": {"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
}
"""Shapes of Llama 3.2 1B and 3B and Llama 3.1 8B, with a smaller vocabulary and untied embeddings."""

PROMPT_TOKENS = 32
OURS = "papergen"


def main() -> None:
    """Run the parts that there is time for, and save what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--size", choices=list(SIZES), default="1b")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=420.0, help="no part is begun later than this")
    parser.add_argument("--without-compile", action="store_true", help="leave out what torch.compile takes part in")
    parser.add_argument("--out", type=Path, help="a second place for the result")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("decoding_gpu: no CUDA device here, nothing was measured", file=sys.stderr)
        sys.exit(3)
    logging.set_verbosity_error()
    Benchmark(arguments).run()


class Benchmark:
    """One model, several parts, one record."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.device = arguments, torch.device(arguments.device)
        self.end_s = time.perf_counter() + arguments.seconds
        self.model = make_model(self.device, SIZES[arguments.size])
        table = self.model.get_input_embeddings().weight
        self.bytes_read = sum(one.numel() * one.element_size() for one in self.model.parameters() if one is not table)
        self.bandwidth = bandwidth(self.device)
        self.record: dict[str, Any] = {
            "gpu": torch.cuda.get_device_name() if self.device.type == "cuda" else None,
            "torch": torch.__version__,
            "size": arguments.size,
            "num_parameters": self.model.num_parameters(),
            "dtype": "bfloat16",
            "new_tokens": arguments.new_tokens,
            "prompt_tokens": PROMPT_TOKENS,
            "bytes_read_per_step": self.bytes_read,
            "copy_gb_per_s": self.bandwidth / 1e9,
            "floor_ms_per_token": 1e3 * self.bytes_read / self.bandwidth,
            "left_out": [],
        }

    def run(self) -> None:
        """All parts."""
        print(f"{self.record['num_parameters'] / 1e9:.2f} billion parameters, {self.record['copy_gb_per_s']:.0f} GB/s")
        self.part("greedy, batch 1", {}, rows=1, is_roofline=True)
        self.part("nucleus, batch 1", {"do_sample": True, "top_p": 0.9}, rows=1, has_variants=False, is_roofline=True)
        self.part("nucleus, batch 32", {"do_sample": True, "top_p": 0.9}, rows=32, has_variants=False)
        self.part("beam 4, batch 8", {"num_beams": 4}, rows=8, has_variants=False)
        if not self.arguments.without_compile:
            self.part("greedy, batch 1, compiled", {}, rows=1, has_variants=False, is_compiled=True, is_roofline=True)

    def part(
        self,
        name: str,
        own: dict[str, Any],
        *,
        rows: int,
        has_variants: bool = True,
        is_compiled: bool = False,
        is_roofline: bool = False,
    ) -> None:
        """One strategy at one batch size; `has_variants` adds papergen without graphs and with a growing cache."""
        if time.perf_counter() > self.end_s:
            self.record["left_out"].append(name)
        else:
            ran: dict[str, str] = {}
            ways = self.contenders(own, rows, ran, has_variants=has_variants, is_compiled=is_compiled)
            first = {way: seconds(call) for way, call in ways.items()}
            table = ratios(interleaved(ways, rounds=self.arguments.rounds, warmup=2), OURS)
            show(name, table)
            found: dict[str, Any] = {"times": table, "first_call_s": first, "steps": ran}
            if is_roofline:
                floor_s = self.bytes_read / self.bandwidth * self.arguments.new_tokens
                found["share_of_roofline"] = {way: floor_s / row["median_s"] for way, row in table.items()}
                for way, share in found["share_of_roofline"].items():
                    print(f"  {way:<28} {100 * share:.0f} % of the bandwidth roofline")
            self.record[name] = found
            gc.collect()
        self.write()

    def contenders(
        self, own: dict[str, Any], rows: int, ran: dict[str, str], *, has_variants: bool, is_compiled: bool
    ) -> dict[str, Callable[[], Any]]:
        """The same work by name; `ran` learns what ran our steps."""
        generator = torch.Generator().manual_seed(rows)
        prompts = torch.randint(3, 32000, (rows, PROMPT_TOKENS), generator=generator).tolist()
        engines = {OURS: Engine()}
        if has_variants:
            engines["papergen, single steps"] = Engine("static", cuda_graphs=False)
            engines["papergen, growing cache"] = Engine("dynamic")
        if is_compiled:
            engines = {OURS: Engine(torch_compile=True), "papergen, not compiled": Engine()}
        calls: dict[str, Callable[[], Any]] = {
            name: self.ours(name, prompts, own, engine, ran) for name, engine in engines.items()
        }
        calls["plain generate"] = self.plain(prompts, own)
        if is_compiled:
            calls["plain, static cache"] = self.plain(prompts, own, cache_implementation="static")
        return calls

    def ours(
        self, name: str, prompts: list[list[int]], own: dict[str, Any], engine: Engine, ran: dict[str, str]
    ) -> Callable[[], None]:
        strategy = Strategy(max_new_tokens=self.arguments.new_tokens, eos_token_id=None, **own)

        def call() -> None:
            timings: list[Any] = []
            generate(
                self.model, None, prompts, strategy, seed=0, batch_size=len(prompts), engine=engine, timings=timings
            )
            ran[name] = ", ".join(
                filter(None, (timings[0].cache_implementation, timings[0].step, timings[0].step_reason))
            )

        return call

    def plain(self, prompts: list[list[int]], own: dict[str, Any], **more: Any) -> Callable[[], None]:
        ids = torch.tensor(prompts, device=self.device)
        same = {"do_sample": False, **own, **({"top_k": 0} if own.get("do_sample") else {}), **more}

        def call() -> None:
            self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=self.arguments.new_tokens,
                eos_token_id=None,
                pad_token_id=0,
                **same,
            ).cpu()

        return call

    def write(self) -> None:
        """Save what there is so far, unless it is a trial on the CPU without a place to go."""
        if self.device.type == "cuda":
            path = save(f"decoding-gpu-{self.arguments.size}", self.record)
            print(path)
            if self.arguments.out is not None:
                shutil.copy(path, self.arguments.out)


def make_model(device: torch.device, shape: dict[str, int]) -> Any:
    """Random weights, drawn where they stay."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32000,
        max_position_embeddings=2048,
        num_key_value_heads=max(1, shape["num_attention_heads"] // 4),
        **shape,
    )
    with device:
        return LlamaForCausalLM(config).to(torch.bfloat16).eval()


def seconds(call: Callable[[], Any]) -> float:
    """How long one call takes; every contender ends by reading its texts, so the device is done as well."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def bandwidth(device: torch.device, *, num_bytes: int = 2**31, repeats: int = 20) -> float:
    """Bytes per second that a copy reads and writes, the median of repeats after a warm-up."""
    source = torch.zeros(num_bytes if device.type == "cuda" else 2**22, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found = []
    for _ in range(repeats + 3):
        synchronise(device)
        start = time.perf_counter()
        target.copy_(source)
        synchronise(device)
        found.append(time.perf_counter() - start)
    return 2 * source.numel() / statistics.median(found[3:])


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
