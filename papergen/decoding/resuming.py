"""What a killed attempt had generated already: a line per finished batch, so that the next attempt goes on from there.

A continuation depends on (prompt, seed, sample index) alone, so the batches may be other ones then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from papergen.decoding.speed import BatchTiming


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One continuation of one prompt."""

    prompt_index: int
    sample_index: int
    """Which of the prompt's continuations: the number of the sample, or the rank in a search."""
    ids: tuple[int, ...]
    """New tokens up to and including the first EOS."""
    text: str
    """The new tokens as text, special tokens left out."""
    finish: Literal["eos", "length"]
    log_prob: float
    """Sum of the generating model's log-probabilities of `ids`, whatever the strategy did to the scores."""
    score: float | None
    """What a search ranked it by (log-probabilities after the processors, length and diversity penalties); not a
    log-probability. None without a search."""
    is_met: bool | None
    """Whether all forced words are among the new tokens; None without forced words."""
    num_drafted: int | None
    """Tokens that were guessed; None without drafts, as the next two."""
    num_accepted: int | None
    """Guesses that became text."""
    num_passes: int | None
    """Forward passes of the model for this text, the prefill included."""
    time_to_first_token_s: float
    """From the start of the prompt's batch to its first token."""
    duration_s: float
    """From the start of the prompt's batch to its end."""


class Kept:
    """The finished batches of a trial in a file; a line that a kill tore off is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.generations: dict[int, list[Generation]] = {}
        """Prompt index -> its continuations."""
        self.timings: list[BatchTiming] = []
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
            batch = _read(line)
            if batch is None:
                break
            whole += len(line)
            self._take(batch)
        if path.exists():
            os.truncate(path, whole)

    def add(self, generations: Mapping[int, Sequence[Generation]], timing: BatchTiming) -> None:
        """Keep a batch; it is on the disk when this returns."""
        found = [asdict(one) for group in generations.values() for one in group]
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"generations": found, "timing": asdict(timing)}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _take(self, batch: Mapping[str, Any]) -> None:
        for one in batch["generations"]:
            generation = Generation(**{**one, "ids": tuple(one["ids"])})
            self.generations.setdefault(generation.prompt_index, []).append(generation)
        timing = batch["timing"]
        self.timings.append(BatchTiming(**{**timing, "token_s": tuple(timing["token_s"])}))


def _read(line: bytes) -> Mapping[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        found: Mapping[str, Any] = json.loads(line)
    except ValueError:
        return None
    return found
