"""The training loop: what one rank does from joining its peers to a saved model."""

from __future__ import annotations

import hashlib
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils.logging import disable_progress_bar

from papergen.errors import ResultError
from papergen.files import digest_bytes
from papergen.training import distributed
from papergen.training.batches import Batch, Blocks, Order, encode
from papergen.training.corpus import Corpus, load_corpus
from papergen.training.distributed import Ranks
from papergen.training.evaluation import Evaluation, evaluate
from papergen.training.model import build_model, full_state, load_pretrained, parallel, unwrapped
from papergen.training.optim import build_optimizer, learning_rate
from papergen.training.settings import NUM_TRAIN_EPOCHS, TrainingSettings, local_model
from papergen.training.stepping import Stepper
from papergen.training.timing import StepClock, peak_memory_mib, percentile
from papergen.training.tokenizer import load_tokenizer, train_tokenizer, wrap

Log = Callable[[int, dict[str, float]], None]
Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training run measured, the same on every rank but for the times, which are this rank's."""

    metrics: Mapping[str, float]
    facts: Mapping[str, str | int | float]
    """Truths that are not measurements: sizes, digests, backend."""
    model: Path
    """Folder that AutoModelForCausalLM and AutoTokenizer load; written by rank 0."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the loop works on."""

    corpus: Corpus
    tokenizer: Any
    train: Blocks
    validation: Blocks
    model: nn.Module
    num_parameters: int


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
) -> Trained:
    """Train on this rank; called by all ranks alike, with MASTER_ADDR and MASTER_PORT set when there are several.

    Rank 0 writes `folder`/model. On every rank `log(step, metrics)` gets the curves and `progress(done, total, fields)`
    each step. A relative corpus or model path is relative to `project`. Raises ResultError when the loss diverges.
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
    stepper = Stepper(model, build_optimizer(model, settings), settings, ranks)
    order = Order(
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

    stepper.warm_up(_passes(material, order, 0, settings)[0].to(ranks.device))
    for step in range(num_steps):
        clock.start()
        batches = _passes(material, order, step, settings)
        num_targets = _num_targets(batches, settings, ranks)
        rate = learning_rate(settings, step, num_steps)
        nats = stepper.step([batch.to(ranks.device) for batch in batches], num_targets, rate)
        clock.stop()
        curve.add(nats, num_targets)
        done = step + 1
        if done % settings.log_every == 0 or done == num_steps:
            fields = curve.point(done, clock, rate)
        if done == num_steps or (settings.eval_every and done % settings.eval_every == 0):
            evaluation = _validate(material, unwrapped(model), settings, ranks)
            log(done, {"validation_loss": evaluation.loss, "perplexity": evaluation.perplexity})
            fields["validation_loss"] = evaluation.loss
        progress(done, num_steps, fields)

    assert evaluation is not None, "the last step is always evaluated"
    state = full_state(model, ranks)
    if ranks.is_main:
        _save(material, state, folder / "model")
    ranks.barrier()
    return Trained(
        metrics=_metrics(settings, material, ranks, curve, clock, evaluation, num_steps)
        | {"wall_time_s": time.perf_counter() - began},
        facts=_facts(material, ranks),
        model=folder / "model",
    )


def prepare(settings: TrainingSettings, *, seed: int, ranks: Ranks, project: Path) -> Material:
    """Corpus, tokenizer, token blocks and the unwrapped model with the same weights on every rank."""
    corpus = load_corpus(settings, project)
    source: Path | str | None = local_model(settings, project) or settings.model
    if source is None:
        # Rank 0 learns the tokenizer and sends it: no race for a file, no shared file system needed.
        json = train_tokenizer(corpus.train.values(), vocab_size=settings.vocab_size) if ranks.is_main else None
        tokenizer: Any = wrap(ranks.from_main(json), block_size=settings.block_size)
        torch.manual_seed(derived_seed(seed, "weights"))
        model = build_model(settings, tokenizer)
    else:
        tokenizer = load_tokenizer(source)
        model = load_pretrained(source, block_size=settings.block_size)
    if settings.dtype == "float64":
        model.double()
    blocks = encode(corpus.train.values(), tokenizer, settings.block_size, settings.packing)
    return Material(
        corpus=corpus,
        tokenizer=tokenizer,
        train=blocks.full() if settings.packing == "stream" else blocks,
        validation=encode(corpus.validation.values(), tokenizer, settings.block_size, "stream"),
        model=model,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def derived_seed(seed: int, purpose: str) -> int:
    """A seed of 63 bits for one purpose, so that seed 1 of rank 0 is not seed 0 of rank 1."""
    return int.from_bytes(hashlib.sha256(f"{seed} {purpose}".encode()).digest()[:8], "big") >> 1


class Curve:
    """The training loss: token means over the steps since the last point, over all ranks."""

    def __init__(self, ranks: Ranks, log: Log) -> None:
        self._ranks = ranks
        self._log = log
        self._nats = torch.zeros((), dtype=torch.float64, device=ranks.device)
        self._num_targets = 0
        self._num_steps = 0
        self.num_targets = 0
        """Target tokens trained on, all steps and ranks."""
        self.points: list[tuple[int, float, int]] = []
        """Per point: steps it covers, nats, target tokens."""

    def add(self, nats: torch.Tensor, num_targets: int) -> None:
        """One step: the rank's nats and the target tokens of all ranks."""
        self._nats += nats
        self._num_targets += num_targets
        self._num_steps += 1
        self.num_targets += num_targets

    def point(self, step: int, clock: StepClock, learning_rate: float) -> dict[str, float]:
        """Log the mean since the last point; ResultError on every rank alike when it is not finite."""
        total = float(self._ranks.sum(self._nats.clone()).item())
        loss = total / self._num_targets
        if not math.isfinite(loss):
            raise ResultError(
                f"Training diverged: the loss is {loss} by step {step}.",
                hint="Lower learning_rate, or set max_grad_norm.",
            )
        seconds = sum(clock.durations_s()[-self._num_steps :])
        fields = {"train_loss": loss, "learning_rate": learning_rate, "tokens_per_s": self._num_targets / seconds}
        self._log(step, dict(fields))
        self.points.append((self._num_steps, total, self._num_targets))
        self._nats.zero_()
        self._num_targets = self._num_steps = 0
        return fields

    def final_loss(self, num_steps: int) -> float:
        """Token mean over the last points that cover a twentieth of the run."""
        nats, count, covered = 0.0, 0, 0
        for steps, total, tokens in reversed(self.points):
            nats, count, covered = nats + total, count + tokens, covered + steps
            if covered * 20 >= num_steps:
                break
        return nats / count


def _passes(material: Material, order: Order, step: int, settings: TrainingSettings) -> list[Batch]:
    """The rank's batches of one optimiser step, one per accumulation pass."""
    indices = order.at(step)
    size = len(indices) // settings.gradient_accumulation_steps
    pad = int(material.tokenizer.eos_token_id)
    return [material.train.batch(indices[start : start + size], pad) for start in range(0, len(indices), size)]


def _num_targets(batches: list[Batch], settings: TrainingSettings, ranks: Ranks) -> int:
    """Target tokens of the step over all ranks; counted by a collective only where blocks are uneven."""
    if settings.packing == "stream":
        return settings.batch_size * settings.block_size
    count = torch.tensor([sum(batch.num_targets for batch in batches)], device=ranks.device)
    return int(ranks.sum(count).item())


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
    disable_progress_bar()
    model.save_pretrained(folder, state_dict=dict(state))
    material.tokenizer.save_pretrained(folder)


def _metrics(
    settings: TrainingSettings,
    material: Material,
    ranks: Ranks,
    curve: Curve,
    clock: StepClock,
    evaluation: Evaluation,
    num_steps: int,
) -> dict[str, float]:
    timed = clock.timed_s()
    median_s = statistics.median(timed)
    return {
        "train_loss": curve.final_loss(num_steps),
        "validation_loss": evaluation.loss,
        "perplexity": evaluation.perplexity,
        "bits_per_character": evaluation.bits_per_character,
        "tokens_per_s": curve.num_targets / num_steps / median_s,
        "step_time_ms": median_s * 1e3,
        "step_time_p95_ms": percentile(timed, 0.95) * 1e3,
        "num_parameters": material.num_parameters,
        "num_steps": num_steps,
        "num_train_tokens": curve.num_targets,
        "peak_memory_mib": ranks.maximum(peak_memory_mib(ranks.device)),
    }


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
