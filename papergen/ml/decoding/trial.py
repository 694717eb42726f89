"""One decoding trial: prompts continued, scored, measured and recorded; what the kinds that generate text share."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from papergen.core.errors import PapergenError
from papergen.experiment.api import Context
from papergen.ml import distributed
from papergen.ml.decoding.engine import Engine
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.generations import FinishedBatches
from papergen.ml.decoding.measure import Continuation, measure, repetition_by_position
from papergen.ml.decoding.scoring import Score, score_continuations, score_texts
from papergen.ml.decoding.settings import DecodingSettings, model_source
from papergen.ml.decoding.speed import PeakMemory, summarise
from papergen.ml.decoding.tokens import tokens_for
from papergen.ml.distributed import ALONE, Ranks
from papergen.ml.model_names import located_in
from papergen.ml.models import load_model, load_tokenizer

SPEED = ("tokens_per_s", "time_to_first_token_s", "inter_token_latency_p50_s", "inter_token_latency_p95_s")
"""What of a `Speed` is reported."""

JOIN_TIMEOUT_S = 60
PATIENCE_S = 7 * 24 * 3600
"""How long a rank waits for the others' shares: a slow one is no fault, and one that hangs is seen by the launcher."""


class Passage(Protocol):
    """A prompt and how the human author went on."""

    @property
    def document(self) -> str: ...  # noqa: D102
    @property
    def ids(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def reference_ids(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def is_complete(self) -> bool: ...  # noqa: D102


@dataclasses.dataclass(frozen=True)
class Loaded:
    """The model of a trial on this rank's device, its tokenizer, and the ranks among which the prompts are shared."""

    model: Any
    tokenizer: Any
    ranks: Ranks = ALONE

    @property
    def eos(self) -> tuple[int, ...]:
        """The model's own end-of-text tokens."""
        own = self.model.generation_config.eos_token_id
        own = self.model.config.get_text_config().eos_token_id if own is None else own
        return () if own is None else (own,) if isinstance(own, int) else tuple(own)

    def most_new(self, params: DecodingSettings) -> int:
        """Most tokens that may be generated, and so of a human continuation; PapergenError where there is no room."""
        # An encoder-decoder model counts its start token in place of the prompt.
        start = 1 if self.model.config.is_encoder_decoder else params.prompt_tokens
        found = params.max_new_tokens or (params.max_length or 0) - start
        if found < 1:
            raise PapergenError(
                f"max_length = {params.max_length} counts the prompt_tokens = {start} as well: no room for a new one.",
                hint="Give max_new_tokens instead, or a larger max_length.",
            )
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Texts:
    """Continuations to be measured, and what was timed while they were generated."""

    continuations: list[Continuation]
    scored: list[tuple[int, ...]]
    """Their tokens with the final EOS, whose probability counts."""
    scores: list[Score] | None = None
    """What the model thinks of `scored`, known from generating them; None where it has to be asked."""
    speed: dict[str, float] = dataclasses.field(default_factory=dict)


def load(params: DecodingSettings, ctx: Context) -> Loaded:
    """The trial's model on this rank's device, and the tokenizer; called by all ranks alike."""
    device = distributed.device_of(ctx.device, rank=ctx.rank, local_rank=ctx.local_rank)
    # Ranks exchange texts only: gloo on the CPU, whatever the model is on.
    ranks = distributed.join(
        rank=ctx.rank,
        world_size=ctx.world_size,
        local_rank=ctx.local_rank,
        device="cpu",
        timeout_s=JOIN_TIMEOUT_S,
        patience_s=PATIENCE_S,
    )
    source = model_source(params, ctx.upstream, ctx.project)
    loaded = Loaded(load_model(source, dtype=params.dtype, device=str(device)), load_tokenizer(source), ranks)
    ctx.fact("num_parameters", loaded.model.num_parameters())
    return loaded


def human_texts(passages: Sequence[Passage], eos: Sequence[int]) -> Texts:
    """How the authors went on; an end of text is scored where they ended."""
    return Texts(
        continuations=[
            Continuation(prompt_index=index, ids=passage.reference_ids, is_ended=passage.is_complete)
            for index, passage in enumerate(passages)
        ],
        scored=[
            (*passage.reference_ids, *eos[:1]) if passage.is_complete else passage.reference_ids for passage in passages
        ],
    )


def generated_texts(loaded: Loaded, prompts: Sequence[Sequence[int]], params: DecodingSettings, ctx: Context) -> Texts:
    """What the strategy makes of the prompts: each rank generates its share, and all ranks return all of it.

    Speed is that of all ranks together, memory that of the rank which took most.
    """
    ranks = loaded.ranks
    kept = FinishedBatches(ctx.scratch / "batches", ranks)
    ctx.fact("num_resumed_prompts", len(kept.generations))
    engine = Engine(params.cache_implementation, torch_compile=params.torch_compile)
    with PeakMemory(str(loaded.model.device)) as memory:
        generate(
            loaded.model,
            loaded.tokenizer,
            prompts,
            params.at(ctx.project),
            seed=ctx.trial.seed,
            batch_size=params.batch_size,
            progress=_with_rate(ctx),
            kept=kept,
            engine=engine,
            share=slice(ranks.rank, None, ranks.world_size),
        )
    engine.release()
    kept.gather()
    found = [one for index in range(len(prompts)) for one in kept.generations[index]]
    timings = kept.timings
    for name in ("cache_implementation", "step", "step_reason"):
        values = dict.fromkeys(str(getattr(timing, name)) for timing in timings)
        ctx.fact(f"decoding_{name}", "; ".join(filter(None, values)))
    speed = {name: value for name, value in vars(summarise(timings)).items() if name in SPEED and value is not None}
    return Texts(
        continuations=[
            Continuation(
                prompt_index=item.prompt_index,
                ids=item.ids[:-1] if item.finish == "eos" else item.ids,
                is_ended=item.finish == "eos",
                is_met=item.is_met,
                num_drafted=item.num_drafted,
                num_accepted=item.num_accepted,
                num_passes=item.num_passes,
            )
            for item in found
        ],
        scored=[item.ids for item in found],
        # The pass that chose a token has seen its probability: another one over all texts would cost as much again.
        scores=[Score(item.log_prob, len(item.ids)) for item in found],
        speed={**speed, "peak_memory_mib": ranks.maximum(memory.mib)},
    )


def _with_rate(ctx: Context) -> Callable[[int, int], None]:
    """Progress that tells tokens per second as well: since the first call, which may come after a resumption.

    A rank sees its own share only; the others' are taken to go on as fast.
    """
    first: list[tuple[float, int]] = []

    def tell(done: int, total: int) -> None:
        now = time.perf_counter()
        if not first:
            first.append((now, done))
        start, before = first[0]
        ctx.step(done, total, tokens_per_s=ctx.world_size * (done - before) / (now - start) if now > start else 0.0)

    return tell


def record(
    loaded: Loaded,
    passages: Sequence[Passage],
    prompts: Sequence[Sequence[int]],
    texts: Texts,
    params: DecodingSettings,
    ctx: Context,
) -> dict[str, float]:
    """Score and measure the texts, and keep units, curves and samples; `prompts` are what the model was shown.

    Rank 0 does; the others have nothing to say.
    """
    if not loaded.ranks.is_main:
        return {}
    ctx.fact("num_prompts", len(passages))
    ctx.fact("reference_tokens", loaded.most_new(params))
    found = texts.continuations
    written = [loaded.tokenizer.decode(continuation.ids, skip_special_tokens=True) for continuation in found]
    indices = [continuation.prompt_index for continuation in found]
    scores = texts.scores
    if scores is None:
        shown = [prompts[index] for index in indices]
        scores = score_continuations(loaded.model, shown, texts.scored, batch_size=params.batch_size)
    by_scorer = _by_scorer(loaded, params, [passages[index].text for index in indices], written, ctx)
    forced = tokens_for(params, loaded.model, loaded.tokenizer).forced if not params.reference else ()
    measured = measure(found, scores, by_scorer=by_scorer, constraints=forced)
    for name, values in measured.units.items():
        ctx.units(name, values)
    for position, share in repetition_by_position([continuation.ids for continuation in found]):
        ctx.log(position, repeated=share)
    for continuation, text, score in zip(found, written, scores, strict=True):
        passage = passages[continuation.prompt_index]
        ctx.sample(
            prompt_index=continuation.prompt_index,
            document=passage.document,
            prompt=passage.text,
            text=text,
            ids=list(continuation.ids),
            log_prob=score.log_prob,
            finish="eos" if continuation.is_ended else "length",
        )
    return {**measured.metrics, **texts.speed, **_mauve(passages, found, params, loaded, ctx)}


def _by_scorer(
    loaded: Loaded, params: DecodingSettings, shown: Sequence[str], written: Sequence[str], ctx: Context
) -> list[Score] | None:
    if params.scorer is None:
        return None
    place = located_in(ctx.project, params.scorer)
    scorer, tokenizer = load_model(place, dtype=params.dtype, device=str(loaded.model.device)), load_tokenizer(place)
    return score_texts(scorer, tokenizer, shown, written, batch_size=params.batch_size)


def _mauve(
    passages: Sequence[Passage],
    found: Sequence[Continuation],
    params: DecodingSettings,
    loaded: Loaded,
    ctx: Context,
) -> dict[str, float]:
    """MAUVE against the human continuations, by the features of the model that the parameters name."""
    if params.mauve_model is None or params.reference:
        return {}
    from papergen.ml.decoding.mauve import mauve_score, text_features

    place = located_in(ctx.project, params.mauve_model)
    model, tokenizer = load_model(place, dtype=params.dtype, device=str(loaded.model.device)), load_tokenizer(place)

    def features(texts: Sequence[Sequence[int]]) -> Any:
        plain = [loaded.tokenizer.decode(ids, skip_special_tokens=True) for ids in texts if ids]
        encoded = [tokenizer.encode(text, add_special_tokens=False) for text in plain]
        return text_features(model, [ids for ids in encoded if ids], batch_size=params.batch_size)

    human = features([passage.reference_ids for passage in passages])
    return {"mauve": mauve_score(human, features([one.ids for one in found]), seed=ctx.trial.seed)}
