"""From a number in the paper back to the runs that made it."""

from __future__ import annotations

import itertools
import json
from typing import Any

from papergen.core.numbers import short
from papergen.experiment.project import Project
from papergen.report import formats
from papergen.report.results import Results
from papergen.report.values import Value, value_of
from papergen.store.records import Provenance

NUM_SAMPLES = 2
"""Of each trial that are shown."""
MAX_SAMPLE = 100
"""Characters of a sample that a person is shown."""


def traced(project: Project, results: Results, key: str) -> dict[str, Any]:
    """The value of a key and the chain behind it, as JSON data. Errors are those of `value_of`."""
    value = value_of(results, key)
    record: dict[str, Any] = {"key": key, "value": formats.plain(value)}
    if isinstance(value, Value):
        record |= {
            "mean": value.mean,
            "n": value.n,
            "over": value.over,
            "num_seeds": value.num_seeds,
            "unit": value.unit,
        }
        if value.low is not None:
            record["interval_95"] = [value.low, value.high]
    record["runs"] = [_run(project, results, digest, key.split("/")[-1]) for digest in value.digests]
    return record


def _run(project: Project, results: Results, digest: str, metric: str) -> dict[str, Any]:
    result = results.results[digest]
    trial, provenance = result.trial, result.provenance
    run = project.store.run(trial)
    return {
        "trial": trial.label,
        "digest": digest,
        "value": result.outcome.metrics.get(metric),
        "folder": project.store.shown(run.folder),
        "samples": None if run.stored_samples is None else project.store.shown(run.stored_samples),
        "first_samples": list(itertools.islice(run.samples(), NUM_SAMPLES)),
        "logs": [project.store.shown(path) for path in sorted(run.folder.glob("*.log"))],
        "data": dict(trial.parts.get("data", {})),
        "code": dict(trial.parts.get("code", {})),
        "params": dict(trial.params),
        "upstream": {
            name: results.results[other].trial.label
            for name, other in trial.upstream.items()
            if other in results.results
        },
        "command": list(provenance.command),
        "started": provenance.started,
        "ended": provenance.ended,
        "duration_s": provenance.duration_s,
        "machine": _machine(provenance),
        "environment": dict(provenance.environment),
        "failed_attempts": list(provenance.failed_attempts),
        "git": provenance.git_commit + (" (with uncommitted changes)" if provenance.git_is_dirty else ""),
        "git_diff": project.store.shown(diff) if (diff := run.folder / "git.diff.gz").exists() else None,
        "packages": dict(provenance.packages),
    }


def _machine(provenance: Provenance) -> str:
    gpus = f" ({', '.join(provenance.gpus)}, driver {provenance.driver or 'unknown'})" if provenance.gpus else ""
    threads = f"{provenance.num_threads} thread{'s' if provenance.num_threads > 1 else ''} per rank"
    return f"{provenance.hostname}, {provenance.cpu}, device {provenance.device}{gpus}, {threads}"


def describe(record: dict[str, Any]) -> str:
    """What a person reads."""
    lines = [f"{record['key']} = {record['value']}"]
    if "interval_95" in record:
        low, high = record["interval_95"]
        lines.append(f"  95 % interval [{short(low, 6)}, {short(high, 6)}] over {record['n']} {record['over']}")
    for run in record["runs"]:
        value = "" if run["value"] is None else f" = {run['value']!r}"
        lines.append(f"\n{run['trial']}{value}")
        facts = {name: run[name] for name in ("folder", "samples", "started", "machine", "git", "git_diff")}
        facts |= {"command": " ".join(run["command"]), "logs": ", ".join(run["logs"])}
        facts |= {f"data {name}": digest[:12] for name, digest in run["data"].items()}
        facts |= {"failed": f"before: {'; '.join(run['failed_attempts'])}" if run["failed_attempts"] else ""}
        facts |= {name: f"from {source}" for name, source in run["upstream"].items()}
        lines += [f"  {name:<8} {text}" for name, text in facts.items() if text]
        lines += [f"  sample   {_excerpt(sample)}" for sample in run["first_samples"]]
        lines.append(f"  packages {', '.join(f'{name} {version}' for name, version in run['packages'].items())}")
    return "\n".join(lines)


def _excerpt(sample: dict[str, Any]) -> str:
    """One line of a sample: its text where it has one."""
    text = sample.get("text")
    line = json.dumps(text if isinstance(text, str) else sample, ensure_ascii=False)
    return line if len(line) <= MAX_SAMPLE else f"{line[: MAX_SAMPLE - 3]}..."
