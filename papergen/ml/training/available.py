"""Which settings cannot run on which machine, in words fit for a table's note; importable without torch."""

from __future__ import annotations

from papergen.ml.training.settings import TrainingSettings

DECIDES_NUMBERS = False


def unavailable(settings: TrainingSettings, device: str, num_gpus: int) -> str | None:
    """Why these settings cannot run on such a machine, as a sentence for a paper; None when they can."""
    if settings.strategy == "dp" and (device != "cuda" or num_gpus < 2):
        # Without GPUs DataParallel calls the module directly: a "DP" row would be a second name for one process.
        seen = {0: "none", 1: "one"}[num_gpus if device == "cuda" else 0]
        return f"DataParallel splits a batch over two or more GPUs; this run has {seen}."
    if settings.comm_hook == "bf16" and settings.world_size > 1 and device != "cuda":
        return "The bf16 communication hook needs NCCL, and so GPUs; gloo refuses it."
    if settings.torch_compile and device != "cuda":
        return "torch.compile is used on GPUs only."
    return None
