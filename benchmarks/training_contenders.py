"""One rank of raw DDP, Accelerate or Lightning Fabric, for benchmarks/training.py; started by torchrun.

    torchrun --standalone --nproc-per-node 2 benchmarks/training_contenders.py ddp SETTINGS.json

All prepare the text and the model with papergen's own functions, so that weights and sequences are the same, and run
the loop that the documentation of their library shows. Rank 0 prints "first" after the first step, then step times.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

from papergen.ml import distributed
from papergen.ml.training.material import Material, prepare
from papergen.ml.training.settings import TrainingSettings

Step = Callable[[torch.Tensor], None]
"""One optimiser step on a (batch, time + 1) tensor of tokens."""


def ddp(material: Material, settings: TrainingSettings, rank: int, world_size: int) -> tuple[Step, Iterator[Any]]:
    model = DistributedDataParallel(material.model)
    optimizer, scheduler = optimised(model, settings)
    sampler: DistributedSampler[Any] = DistributedSampler(material.train, shuffle=True, drop_last=True)
    loader = DataLoader(material.train, batch_size=settings.batch_size // world_size, sampler=sampler, drop_last=True)

    def step(tokens: torch.Tensor) -> None:
        loss_of(model, tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)

    return step, endless(loader, sampler)


def accelerate(
    material: Material, settings: TrainingSettings, rank: int, world_size: int
) -> tuple[Step, Iterator[Any]]:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    optimizer, scheduler = optimised(material.model, settings)
    loader = DataLoader(material.train, batch_size=settings.batch_size // world_size, shuffle=True, drop_last=True)
    model, optimizer, loader, scheduler = accelerator.prepare(material.model, optimizer, loader, scheduler)

    def step(tokens: torch.Tensor) -> None:
        accelerator.backward(loss_of(model, tokens))
        accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)

    return step, endless(loader)


def fabric(material: Material, settings: TrainingSettings, rank: int, world_size: int) -> tuple[Step, Iterator[Any]]:
    from lightning_fabric import Fabric

    runner = Fabric(accelerator="cpu", devices=world_size, strategy="ddp")
    runner.launch()
    optimizer, scheduler = optimised(material.model, settings)
    model, optimizer = runner.setup(material.model, optimizer)
    loader = runner.setup_dataloaders(
        DataLoader(material.train, batch_size=settings.batch_size // world_size, shuffle=True, drop_last=True)
    )

    def step(tokens: torch.Tensor) -> None:
        runner.backward(loss_of(model, tokens))
        runner.clip_gradients(model, optimizer, max_norm=settings.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)

    return step, endless(loader)


CONTENDERS = {"ddp": ddp, "accelerate": accelerate, "fabric": fabric}


def optimised(model: torch.nn.Module, settings: TrainingSettings) -> tuple[Any, Any]:
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=settings.max_steps or 1)


def loss_of(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def endless(loader: Any, sampler: DistributedSampler[Any] | None = None) -> Iterator[Any]:
    epoch = 0
    while True:
        if sampler is not None:
            sampler.set_epoch(epoch)
        yield from loader
        epoch += 1


def main() -> None:
    name, path = sys.argv[1:]
    settings = TrainingSettings(**json.loads(Path(path).read_text()))
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    ranks = distributed.join(
        rank=rank, world_size=world_size, local_rank=int(os.environ["LOCAL_RANK"]), device="cpu", timeout_s=60
    )
    step, batches = CONTENDERS[name](prepare(settings, seed=0, ranks=ranks, project=Path()), settings, rank, world_size)
    durations: list[float] = []
    for index in range(settings.max_steps or 0):
        began = time.perf_counter()
        step(next(batches))
        durations.append(time.perf_counter() - began)
        if rank == 0 and index == 0:
            print("first", flush=True)
    if rank == 0:
        print(json.dumps({"durations_s": durations}), flush=True)
    dist.barrier()
    distributed.exit_now()


if __name__ == "__main__":
    main()
