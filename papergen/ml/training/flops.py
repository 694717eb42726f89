"""Model FLOPs utilisation: the arithmetic a step needs over what the GPUs could do in that time."""

from __future__ import annotations

from typing import Any

PEAK_TFLOPS = {
    "B200": 2250.0,
    "H200": 989.4,
    "H100 PCIe": 756.0,
    "H100": 989.4,
    "A100": 312.0,
    "A10G": 70.0,
    "A10": 125.0,
    "L40S": 362.0,
    "L4": 121.0,
}
"""Part of a GPU's name -> dense bfloat16 tensor-core TFLOP/s by NVIDIA's data sheets, longer names first."""


def flops_per_token(config: Any, num_parameters: int, block_size: int) -> float:
    """Floating-point operations to train on one token: 6 N + 12 L H Q T (Chowdhery et al. 2022, PaLM, appendix B).

    N leaves out the position embeddings, which are looked up; tied token embeddings count once, as the output layer.
    """
    num_positions = getattr(config, "max_position_embeddings", 0) if config.model_type == "gpt2" else 0
    multiplied = num_parameters - num_positions * config.hidden_size
    if not config.tie_word_embeddings:
        multiplied -= config.vocab_size * config.hidden_size
    return float(6 * multiplied + 12 * config.num_hidden_layers * config.hidden_size * block_size)


def utilisation(tokens_per_s: float, flops: float, *, gpu: str, num_gpus: int, dtype: str) -> float | None:
    """MFU in percent; None for a GPU or arithmetic whose peak is not in the table (a guess would be no measurement)."""
    if dtype not in {"bfloat16", "float16"}:
        return None
    peak = next((tflops for name, tflops in PEAK_TFLOPS.items() if name in gpu), None)
    return None if peak is None else 100 * tokens_per_s * flops / (num_gpus * peak * 1e12)
