"""A small project's results, made by hand: experiment `decoding` on five prompts, experiment `speed` over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from papergen.experiment.api import Metric
from papergen.report.results import Results
from papergen.store.records import Outcome, Provenance, Result, Trial, digest_of

METRICS = {
    "decoding": (
        Metric(
            name="rep_4",
            label="Rep-4",
            direction="lower",
            unit="%",
            over="prompts",
            closest_to="human",
            closest_where="reference",
        ),
        Metric(name="coherence", label="Coherence", direction="higher", over="prompts"),
        Metric(name="zipf", label="Zipf", over="seeds", direction="none"),
        Metric(name="coverage", label="Coverage", direction="higher", over="prompts"),
    ),
    "speed": (
        Metric(name="tokens_per_s", label="Throughput", unit="tokens/s", direction="higher"),
        Metric(name="latency_s", label="Latency", unit="s", direction="lower"),
    ),
}

MakeResult = Callable[..., Result]


def make_trial(experiment: str, row: str, seed: int = 0, **changes: Any) -> Trial:
    params = {"top_p": 0.9, "dtype": "float32", **changes.pop("params", {})}
    parts = {"row": row, "seed": seed, "params": params, "data": changes.pop("data", {"corpus": "c0ffee"})}
    fields: dict[str, Any] = {
        "kind": experiment,
        "params": params,
        "num_ranks": 1,
        "is_seeded": True,
        "upstream": {},
        **changes,
    }
    digest = digest_of([experiment, parts])  # type: ignore[arg-type]
    return Trial(experiment=experiment, row=row, seed=seed, parts=parts, digest=digest, **fields)


def make_provenance(**changes: Any) -> Provenance:
    fields: dict[str, Any] = {
        "command": ("papergen", "run-exp"),
        "started": "2026-11-24T00:00:00Z",
        "ended": "2026-11-24T00:01:00Z",
        "duration_s": 60.0,
        "hostname": "box",
        "platform": "Linux",
        "python": "3.11.2",
        "papergen": "0.1.0",
        "packages": {"torch": "2.13.0"},
        "cpu": "AMD EPYC 7B13",
        "num_cores": 2,
        "memory_gib": 8.0,
        "device": "cpu",
        "gpus": (),
        "num_threads": 1,
        "backend": "none",
        "launcher": "local",
        "git_commit": "abc",
        "git_is_dirty": False,
        "load_average": 0.1,
    }
    return Provenance(**{**fields, **changes})


def make_result(
    trial: Trial,
    metrics: Mapping[str, float | None],
    units: Mapping[str, Sequence[float | None]] | None = None,
    provenance: Mapping[str, Any] | None = None,
    **outcome: Any,
) -> Result:
    return Result(
        trial=trial,
        outcome=Outcome(metrics=metrics, units=units or {}, **outcome),
        provenance=make_provenance(**(provenance or {})),
        artifacts={},
    )


def make_results(found: Sequence[Result]) -> Results:
    return Results(
        trials=[result.trial for result in found],
        results={result.trial.digest: result for result in found},
        states={result.trial.digest: "finished" for result in found},
        metrics=METRICS,
    )


UNITS: dict[str, list[list[float]]] = {
    "human": [[0.2, 0.4, 0.1, 0.3, 0.0]],
    "greedy": [[70.0, 62.5, 81.2, 55.0, 90.1]],
    "beam": [[60.0, 66.5, 71.2, 50.0, 80.1]],
    "nucleus": [[1.0, 0.5, 0.0, 2.0, 0.5], [3.0, 0.5, 0.0, 0.0, 1.5]],
}


def decoding_results() -> list[Result]:
    found = []
    for row, seeds in UNITS.items():
        for seed, column in enumerate(seeds):
            coherence = [0.9 - value / 200 for value in column]
            metrics: dict[str, float | None] = {
                "rep_4": sum(column) / 5,
                "coherence": sum(coherence) / 5,
                "zipf": 1.0 + seed / 10,
            }
            units: dict[str, list[float | None]] = {"rep_4": list(column), "coherence": list(coherence)}
            trial = make_trial("decoding", row, seed, is_seeded=len(seeds) > 1)
            facts = {"num_parameters": 124_439_808, "corpus": "pydoc topics", "is_tied": True}
            series = {"loss": [(10, 3.0 + seed), (20, 2.0 + seed)]}
            found.append(make_result(trial, metrics, units, facts=facts, series=series))
    return found


def speed_results(**provenance: Any) -> list[Result]:
    rates = {"ddp-1": [1010.0, 1032.0, 998.0], "ddp-2": [1850.0, 1902.0, 1873.0]}
    return [
        make_result(
            make_trial("speed", row, seed, num_ranks=index + 1),
            {"tokens_per_s": rate, "latency_s": 1 / rate},
            provenance=provenance if row == "ddp-2" else None,
        )
        for index, (row, column) in enumerate(rates.items())
        for seed, rate in enumerate(column)
    ]


def constant_gap() -> Results:
    """Two rows, two seeds, and the same difference under both: .50 and .75 against .25 and .50."""
    rates = {"ours": [0.50, 0.75], "base": [0.25, 0.50]}
    return make_results(
        [
            make_result(make_trial("speed", row, seed), {"tokens_per_s": rate})
            for row, column in rates.items()
            for seed, rate in enumerate(column)
        ]
    )
