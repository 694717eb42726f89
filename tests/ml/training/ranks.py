"""Real processes for the tests: what each rank runs, importable by name, and how they are started.

A fork server that has imported torch and transformers once makes a rank cost milliseconds, not seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from papergen.ml import distributed
from papergen.ml.training.batches import BlockOrder, TokenBatch
from papergen.ml.training.loop import train
from papergen.ml.training.material import derived_seed, passes, prepare
from papergen.ml.training.model import parallel, replicated
from papergen.ml.training.optimizer import OptimizerSteps, build_optimizer
from papergen.ml.training.settings import TrainingSettings

TINY: Mapping[str, Any] = {
    "n_layer": 1,
    "n_embd": 16,
    "n_head": 2,
    "vocab_size": 300,
    "block_size": 32,
    "batch_size": 8,
    "max_steps": 6,
    "warmup_steps": 2,
    "dropout": 0.1,
    "log_every": 2,
    "eval_every": 0,
    "corpus": "text.txt",
    "timeout_s": 60,
}
"""A model and a run that take a second; the corpus is the project's text.txt."""


class RankFailedError(Exception):
    """A rank raised: its rank, the type of the error and its traceback."""


def start(function: Callable[..., Any], world_size: int, *arguments: Any, may_die: bool = False) -> list[Any]:
    """`function(rank, world_size, *arguments)` on every rank at once; the ranks' returned values in order.

    Raises RankFailedError with a rank's traceback. With `may_die`, a rank that dies without a word gives None.
    """
    context = multiprocessing.get_context("forkserver")
    # Not this module: the server of Python 3.11 does not get pytest's sys.path, and would skip it silently.
    context.set_forkserver_preload(["papergen.ml.training.loop"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pipes = [context.Pipe(duplex=False) for _ in range(world_size)]
    workers = [
        context.Process(target=_rank, args=(function, rank, world_size, port, pipes[rank][1], arguments))
        for rank in range(world_size)
    ]
    for worker, (_, sender) in zip(workers, pipes, strict=True):
        worker.start()
        sender.close()
    try:
        outcomes = []
        for rank, (receiver, _) in enumerate(pipes):
            try:
                assert receiver.poll(240), f"rank {rank} said nothing for 240 s"
                outcomes.append(receiver.recv())
            except EOFError:
                outcomes.append(("died", None))
        for rank, (kind, value) in enumerate(outcomes):
            if kind == "raised" or (kind == "died" and not may_die):
                raise RankFailedError(f"rank {rank}: {value}")
        return [value for _, value in outcomes]
    finally:
        for worker in workers:
            worker.join(10)
            if worker.is_alive():
                worker.kill()
                worker.join()
            worker.close()
        for receiver, _ in pipes:
            receiver.close()


def _rank(
    function: Callable[..., Any], rank: int, world_size: int, port: int, sender: Any, arguments: tuple[Any, ...]
) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    try:
        value = function(rank, world_size, *arguments)
        sender.send(("returned", value))
        distributed.leave()
    except BaseException:  # noqa: BLE001
        sender.send(("raised", traceback.format_exc()))
    sender.close()
    distributed.exit_now()


def settings_of(world_size: int, overrides: Mapping[str, Any]) -> TrainingSettings:
    """The tiny run with `overrides`; None takes a parameter out."""
    given = {"world_size": world_size, **TINY, **overrides}
    return TrainingSettings(**{name: value for name, value in given.items() if value is not None})


def train_rank(
    rank: int,
    world_size: int,
    project: Path,
    folder: Path,
    overrides: Mapping[str, Any],
    resume: bool = False,
    die_after: int | None = None,
    asked_after: int | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """A whole run; dies without a word once `die_after` steps are done and the checkpoint before stands.

    After `asked_after` steps the last rank, and no other, is asked to save.
    """
    points: list[tuple[int, dict[str, float]]] = []
    num_done = 0

    def should_save() -> bool:
        return asked_after is not None and rank == world_size - 1 and num_done >= asked_after

    def progress(done: int, total: int, fields: dict[str, float]) -> None:
        nonlocal num_done
        num_done = done
        if done == die_after:
            while not (folder / "checkpoints" / "LATEST").exists():
                os.sched_yield()
            os._exit(9)

    trained = train(
        settings_of(world_size, overrides),
        seed=3,
        rank=rank,
        world_size=world_size,
        local_rank=rank,
        device=device,
        folder=folder,
        log=lambda step, metrics: points.append((step, metrics)),
        progress=progress,
        project=project,
        resume=resume,
        should_save=should_save,
    )
    return {"metrics": dict(trained.metrics), "facts": dict(trained.facts), "points": points}


def compiled_rank(rank: int, world_size: int, project: Path, folder: Path, overrides: Mapping[str, Any]) -> Any:
    """A whole run, compiled without the last stage (code for GPUs or C++): its metrics, and dynamo's counts."""
    from torch._dynamo.utils import counters

    from papergen.ml.training import model

    model.COMPILER, model.unavailable = "aot_eager", lambda *_: None  # type: ignore[assignment]
    run = train_rank(rank, world_size, project, folder, {**overrides, "torch_compile": True})
    return {**run, "num_graphs": counters["stats"]["unique_graphs"], "breaks": dict(counters["graph_break"])}


def steps_rank(
    rank: int, world_size: int, project: Path, overrides: Mapping[str, Any], num_steps: int, num_shards: int | None
) -> dict[str, Any]:
    """Gradients of the first step and weights after `num_steps` of them, without clipping or schedule.

    With `num_shards`, this one process computes the gradient of each shard of the batch by itself and averages them:
    what DDP must agree with.
    """
    settings = settings_of(num_shards or world_size, overrides)
    ranks = distributed.join(rank=rank, world_size=world_size, local_rank=rank, device="cpu", timeout_s=60)
    material = prepare(settings, seed=3, ranks=ranks, project=project)
    model = material.model if num_shards else parallel(material.model, settings, ranks)
    stepper = OptimizerSteps(model, build_optimizer(model, settings), settings, ranks)
    shards = num_shards or world_size
    orders = [
        BlockOrder(material.train, batch_size=settings.batch_size, rank=shard, world_size=shards, seed=3)
        for shard in (range(shards) if num_shards else [rank])
    ]
    stepper.warm_up(passes(material, orders[0], 0, settings)[0])
    torch.manual_seed(derived_seed(3, f"rank {rank}"))
    num_targets = settings.batch_size * settings.block_size
    first: dict[str, torch.Tensor] = {}
    for step in range(num_steps):
        batches = [passes(material, order, step, settings) for order in orders]
        if num_shards:
            _averaged(stepper, batches, num_targets)
        else:
            stepper.backward(batches[0], num_targets)
        if step == 0:
            first = {name: p.grad.clone() for name, p in material.model.named_parameters() if p.grad is not None}
        stepper.optimizer.step()
        stepper.optimizer.zero_grad()
    weights = {name: p.detach().clone() for name, p in material.model.named_parameters()}
    return {"gradients": _lists(first), "weights": _lists(weights)}


def _averaged(stepper: OptimizerSteps, shards: list[list[TokenBatch]], num_targets: int) -> None:
    """The mean over the shards of each shard's gradient, computed one after the other."""
    held: list[list[torch.Tensor]] = []
    parameters = [p for p in stepper.model.parameters() if p.requires_grad]
    for batches in shards:
        stepper.optimizer.zero_grad()
        # A shard's loss is scaled by the number of ranks, as on a rank of DDP.
        for batch in batches:
            stepper.backward([batch], num_targets)
        held.append([p.grad.clone() * len(shards) for p in parameters])  # type: ignore[union-attr]
    for index, parameter in enumerate(parameters):
        total = held[0][index]
        for gradients in held[1:]:
            total = total + gradients[index]
        parameter.grad = total / len(shards)


def uneven_rank(rank: int, world_size: int, project: Path, loss_average: str) -> dict[str, Any]:
    """Gradient of one batch whose shards hold 1 and 7 sequences of different lengths, by DDP on two ranks."""
    settings = settings_of(world_size, {"loss_average": loss_average, "dropout": 0.0, "dtype": "float64"})
    ranks = distributed.join(rank=rank, world_size=world_size, local_rank=rank, device="cpu", timeout_s=60)
    material = prepare(settings, seed=3, ranks=ranks, project=project)
    model = parallel(material.model, settings, ranks)
    stepper = OptimizerSteps(model, build_optimizer(model, settings), settings, ranks)
    blocks = [material.train.blocks[index][: 6 + 3 * index] for index in range(8)]
    material.train.blocks = blocks
    cut = {1: [range(8)], 2: [range(1), range(1, 8)]}[world_size][rank]
    num_targets = sum(len(block) - 1 for block in blocks)
    stepper.backward([material.train.batch(list(cut), pad=0)], num_targets)
    gradients = {name: p.grad for name, p in material.model.named_parameters() if p.grad is not None}
    return {
        "gradients": _lists(gradients),
        "is_wrapped": isinstance(model, DistributedDataParallel),
    }


def group_of_one_rank(rank: int, world_size: int, project: Path, device: str, overrides: Mapping[str, Any]) -> Any:
    """Weights after 14 steps of one rank, by itself and in DDP over a group of one: NCCL with a GPU, else gloo."""
    assert world_size == 1
    place = torch.device(device, 0) if device == "cuda" else torch.device(device)
    backend = "nccl" if device == "cuda" else "gloo"
    torch.distributed.init_process_group(
        backend, init_method="env://", rank=0, world_size=1, device_id=place if device == "cuda" else None
    )
    ranks = distributed.Ranks(rank=0, world_size=1, local_rank=0, device=place, backend=backend)
    settings = settings_of(1, {"dropout": 0.0, "max_steps": 14})
    found = {}
    for name in ("alone", "ddp"):
        material = prepare(settings, seed=3, ranks=ranks, project=project)
        model: torch.nn.Module = material.model.to(place)
        if name == "ddp":
            model = replicated(model, settings.model_copy(update=dict(overrides)), ranks)
        stepper = OptimizerSteps(model, build_optimizer(model, settings), settings, ranks)
        order = BlockOrder(material.train, batch_size=settings.batch_size, rank=0, world_size=1, seed=3)
        for step in range(14):
            batches = [batch.to(place) for batch in passes(material, order, step, settings)]
            stepper.step(batches, settings.batch_size * settings.block_size, 1e-3)
        found[name] = _lists(dict(material.model.named_parameters()))
    return found


def clip_rank(rank: int, world_size: int, project: Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The gradient of the first step, its norm as the clipping saw it, and the gradient after; whole where sharded."""
    settings = settings_of(world_size, overrides)
    ranks = distributed.join(rank=rank, world_size=world_size, local_rank=rank, device="cpu", timeout_s=60)
    material = prepare(settings, seed=3, ranks=ranks, project=project)
    model = parallel(material.model, settings, ranks)
    stepper = OptimizerSteps(model, build_optimizer(model, settings), settings, ranks)
    order = BlockOrder(material.train, batch_size=settings.batch_size, rank=rank, world_size=world_size, seed=3)
    stepper.backward(passes(material, order, 0, settings), settings.batch_size * settings.block_size)
    before = _lists(_gradients(material.model))
    norm = stepper.clip()
    assert norm is not None
    after = _lists(_gradients(material.model))
    return {"before": before, "norm": float(_whole(norm)), "after": after}


def _gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: _whole(p.grad) for name, p in model.named_parameters() if p.grad is not None}


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _lists(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Tensors as nested lists: exact for floats, and they travel through a pipe without shared memory."""
    return {name: tensor.detach().tolist() for name, tensor in tensors.items()}
