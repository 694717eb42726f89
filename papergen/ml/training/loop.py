"""The training loop: what one rank does from joining its peers to a saved model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils.logging import disable_progress_bar

from papergen.core.errors import PapergenError
from papergen.core.files import digest_bytes, digest_json
from papergen.ml import distributed
from papergen.ml.distributed import Ranks
from papergen.ml.training.batches import BlockOrder, TokenBatch
from papergen.ml.training.checkpoint import Checkpoints
from papergen.ml.training.curve import Curve, Log
from papergen.ml.training.evaluation import Evaluation, evaluate
from papergen.ml.training.material import Material, derived_seed, passes, prepare
from papergen.ml.training.metrics import FinishedRun, metrics_of
from papergen.ml.training.model import full_state, parallel, unwrapped
from papergen.ml.training.optimizer import OptimizerSteps, build_optimizer, learning_rate
from papergen.ml.training.profile import StepProfiler
from papergen.ml.training.settings import NUM_TRAIN_EPOCHS, TrainingSettings, describe
from papergen.ml.training.states import restore, state_of
from papergen.ml.training.throughput import NUM_WARMUP_STEPS, StepClock

SAVE_AFTER_S = 60.0
"""Seconds between two checkpoints where `save_every` is absent."""

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training run measured, the same on every rank but for the times, which are this rank's."""

    metrics: Mapping[str, float]
    facts: Mapping[str, str | int | float]
    """Truths that are not measurements: sizes, digests, backend."""
    model: Path | None
    """Folder that AutoModelForCausalLM and AutoTokenizer load, written by rank 0; None when only steps were timed."""


def train(
    settings: TrainingSettings,
    *,
    seed: int,
    rank: int,
    world_size: int,
    local_rank: int,
    device: str,
    folder: Path,
    log: Log,
    progress: Progress,
    project: Path = Path(),
    checkpoints: Path | None = None,
    resume: bool = False,
    should_save: Callable[[], bool] = lambda: False,
    attempt: str = "",
    may_write: Callable[[], bool] = lambda: True,
    is_only_timed: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> Trained:
    """Train on this rank; called by all ranks alike, with MASTER_ADDR and MASTER_PORT set when there are several.

    Rank 0 writes `folder`/model. On every rank `log(step, metrics)` gets the curves and `progress(done, total, fields)`
    each step. A relative corpus or model path is relative to `project`. Raises ResultError when the loss diverges.
    Checkpoints stand in `checkpoints` until the run is complete; with `resume` it continues from the newest of them,
    bitwise as if it had never stopped, its curves logged again from the start. One that cannot be read is set aside, as
    `note(text)` is told, and the one before it is taken, or none.
    When `should_save()` holds on some rank, all write a checkpoint at the next multiple of `log_every` steps and raise
    PapergenError: the machine is wanted back.
    Where another `attempt` at the same run may have begun elsewhere, `may_write()` says whether this one still counts;
    it raises PapergenError in the place of writing a checkpoint when it does not.
    With `is_only_timed` nothing is validated and no model is saved: the steps are run for their times.
    The caller sets threads beforehand and ends the process by `distributed.leave` and `distributed.exit_now`.
    """
    assert world_size == settings.world_size, "the launcher must start as many ranks as the settings say"
    began = time.perf_counter()
    ranks = distributed.join(
        rank=rank, world_size=world_size, local_rank=local_rank, device=device, timeout_s=settings.timeout_s
    )
    material = prepare(settings, seed=seed, ranks=ranks, project=project)
    model = parallel(material.model, settings, ranks)
    # Every rank draws its own dropout masks; the weights above came from one seed.
    torch.manual_seed(derived_seed(seed, f"rank {rank}"))
    stepper = OptimizerSteps(model, build_optimizer(model, settings), settings, ranks)
    order = BlockOrder(
        material.train,
        batch_size=settings.batch_size,
        rank=rank,
        world_size=world_size,
        seed=seed,
        set_epoch=settings.set_epoch,
    )
    num_steps = settings.max_steps or (settings.num_train_epochs or NUM_TRAIN_EPOCHS) * order.steps_per_epoch
    curve = Curve(ranks, log)
    clock = StepClock(ranks.device)
    fields: dict[str, float] = {}
    evaluation: Evaluation | None = None

    store = Checkpoints(
        checkpoints or folder / "checkpoints",
        ranks,
        owner=_owner(settings, material, seed),
        timeout_s=settings.timeout_s,
        draws_on_all_gpus=settings.strategy == "dp",
        attempt=attempt,
        may_write=may_write,
        note=note,
    )
    first_step, before_s = 0, 0.0
    tracer = StepProfiler(first=NUM_WARMUP_STEPS, num_steps=settings.profile_steps, last=num_steps, device=ranks.device)

    stepper.warm_up(passes(material, order, 0, settings)[0].to(ranks.device))
    found = store.load() if resume else None
    if found is not None:
        first_step, own, shared = found
        restore(stepper, own["state"], shared)
        before_s = own["wall_time_s"]
        curve.replay(own["curve"])
    else:
        store.remove()
    saved_at = time.perf_counter()
    for step in range(first_step, num_steps):
        is_traced = tracer.begins(step)
        clock.start()
        batches = passes(material, order, step, settings)
        num_targets = _num_targets(batches, settings, ranks)
        rate = learning_rate(settings, step, num_steps)
        nats = stepper.step([batch.to(ranks.device) for batch in batches], num_targets, rate)
        clock.stop(is_counted=not is_traced)
        tracer.ends(step)
        curve.add(nats, num_targets)
        done = step + 1
        if done % settings.log_every == 0 or done == num_steps:
            fields = curve.point(done, clock, rate)
        if not is_only_timed and (done == num_steps or (settings.eval_every and done % settings.eval_every == 0)):
            evaluation = _validate(material, unwrapped(model), settings, ranks)
            curve.log(done, {"validation_loss": evaluation.loss, "perplexity": evaluation.perplexity})
            fields["validation_loss"] = evaluation.loss
        is_asked = done < num_steps and is_asked_to_save(settings, ranks, done, should_save)
        if done < num_steps and (is_asked or is_save_due(settings, ranks, done, saved_at)):
            saved_at = time.perf_counter()
            wall_time_s = before_s + time.perf_counter() - began
            own_state, shared_state = state_of(stepper)
            store.save(
                done, own={"curve": curve.state(), "wall_time_s": wall_time_s, "state": own_state}, shared=shared_state
            )
        if is_asked:
            store.wait()
            ranks.barrier()  # else the first rank to end would have the others ended before their files are whole
            raise PapergenError(
                f"asked to end; step {done} of {num_steps} is saved, and the next attempt goes on from it"
            )
        progress(done, num_steps, fields)

    assert is_only_timed or evaluation is not None, "the last step is always evaluated"
    if not is_only_timed:
        weights = full_state(model, ranks)
        if ranks.is_main:
            _save(material, weights, folder / "model")
        ranks.barrier()
    store.remove()
    trained: Any = material.model
    finished = FinishedRun(
        settings=settings,
        ranks=ranks,
        model_config=trained.config,
        num_parameters=material.num_parameters,
        num_steps=num_steps,
        num_train_tokens=curve.num_targets,
        train_loss=curve.final_loss(num_steps),
        step_times_s=clock.timed_s(),
        evaluation=evaluation,
        breakdown=tracer.breakdown(),
        wall_time_s=before_s + time.perf_counter() - began,
    )
    return Trained(
        metrics=metrics_of(finished),
        facts=_facts(material, ranks) | ({"resumed_from_step": first_step} if first_step else {}),
        model=None if is_only_timed else folder / "model",
    )


def _num_targets(batches: list[TokenBatch], settings: TrainingSettings, ranks: Ranks) -> int:
    """Target tokens of the step over all ranks; counted by a collective only where blocks are uneven."""
    if settings.packing == "stream":
        return settings.batch_size * settings.block_size
    count = torch.tensor([sum(batch.num_targets for batch in batches)], device=ranks.device)
    return int(ranks.sum(count).item())


def is_asked_to_save(settings: TrainingSettings, ranks: Ranks, done: int, should_save: Callable[[], bool]) -> bool:
    """Whether any rank was asked for a checkpoint, which all must know; where a resume from one would be exact."""
    is_possible = settings.save_every != 0 and settings.is_resumable and done % settings.log_every == 0
    return is_possible and ranks.maximum(float(should_save())) > 0


def is_save_due(settings: TrainingSettings, ranks: Ranks, done: int, saved_at: float) -> bool:
    """Whether all ranks write a checkpoint now: they must agree, so where the clock decides it is asked together."""
    if settings.save_every is not None:
        return settings.save_every > 0 and done % settings.save_every == 0
    is_asked = settings.is_resumable and done % settings.log_every == 0
    return is_asked and ranks.maximum(time.perf_counter() - saved_at) >= SAVE_AFTER_S


def _owner(settings: TrainingSettings, material: Material, seed: int) -> str:
    """What a checkpoint must have in common with the run that resumes from it."""
    return digest_json([describe(settings), material.corpus.digest, seed])


def _validate(material: Material, model: nn.Module, settings: TrainingSettings, ranks: Ranks) -> Evaluation:
    return evaluate(
        model,
        material.validation,
        num_characters=sum(map(len, material.corpus.validation.values())),
        batch_size=max(8, settings.sequences_per_pass),
        dtype=settings.dtype,
        ranks=ranks,
    )


def _save(material: Material, state: Mapping[str, torch.Tensor], folder: Path) -> None:
    model: Any = material.model
    disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder, state_dict=dict(state))
    material.tokenizer.save_pretrained(folder)


def _facts(material: Material, ranks: Ranks) -> dict[str, str | int | float]:
    json = material.tokenizer.backend_tokenizer.to_str()
    return {
        "corpus": material.corpus.name,
        "corpus_digest": material.corpus.digest,
        "num_characters": material.corpus.num_characters,
        "num_removed_characters": material.corpus.num_removed_characters,
        "num_train_documents": len(material.corpus.train),
        "num_validation_documents": len(material.corpus.validation),
        "num_train_sequences": len(material.train),
        "num_validation_tokens": material.validation.num_targets,
        "num_validation_characters": sum(map(len, material.corpus.validation.values())),
        "vocab_size": len(material.tokenizer),
        "tokenizer_digest": digest_bytes(json.encode()),
        "backend": ranks.backend,
        "num_threads": torch.get_num_threads(),
    }
