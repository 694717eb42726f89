"""What a trial has generated: a line per finished batch, shared by its ranks, and where the next attempt goes on from.

A continuation depends on (prompt, seed, sample index) alone, so the batches and the ranks may be other ones then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from papergen.ml.decoding.speed import BatchTiming
from papergen.ml.distributed import ALONE, Ranks

_FILES = "*.batches.jsonl"
"""`ATTEMPT-RANK.batches.jsonl`."""


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


class FinishedBatches:
    """The finished batches of a trial: of all earlier attempts, of this rank, and after `gather` of all ranks.

    Every rank of every attempt writes a file of its own in `folder`; a line that a kill tore off is dropped. Rank 0
    reads them and tells the others, so that all agree on what is left to do. Called by all ranks alike.
    """

    def __init__(self, folder: Path, ranks: Ranks = ALONE) -> None:
        self._ranks = ranks
        self.generations: dict[int, list[Generation]] = {}
        """Prompt index -> its continuations."""
        self.timings: list[BatchTiming] = []
        lines: list[str] = []
        if ranks.is_main:
            folder.mkdir(exist_ok=True)
            files = sorted(folder.glob(_FILES))
            lines = [str(max((int(file.name.partition("-")[0]) for file in files), default=-1) + 1)]
            lines += [line for file in files for line in _whole_lines(file)]
        number, *lines = ranks.from_main("\n".join(lines) if ranks.is_main else None).split("\n")
        self._attempt = int(number)
        self._path = folder / _FILES.replace("*", f"{self._attempt}-{ranks.rank}")
        self._own: list[str] = []
        self._take(lines)

    def add(self, generations: Mapping[int, Sequence[Generation]], timing: BatchTiming) -> None:
        """Keep a batch of this rank; it is on the disk when this returns."""
        found = [asdict(one) for group in generations.values() for one in group]
        timing = replace(timing, attempt=self._attempt, rank=self._ranks.rank)
        line = json.dumps({"generations": found, "timing": asdict(timing)})
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._own.append(line)
        self._take([line])

    def gather(self) -> None:
        """Wait for all ranks, and take what the others have found."""
        texts = self._ranks.gathered("\n".join(self._own))
        for rank, text in enumerate(texts):
            if rank != self._ranks.rank and text:
                self._take(text.split("\n"))

    def _take(self, lines: Sequence[str]) -> None:
        for line in lines:
            batch = json.loads(line)
            groups: dict[int, list[Generation]] = {}
            for one in batch["generations"]:
                groups.setdefault(one["prompt_index"], []).append(Generation(**{**one, "ids": tuple(one["ids"])}))
            self.generations |= groups
            timing = batch["timing"]
            self.timings.append(BatchTiming(**{**timing, "token_s": tuple(timing["token_s"])}))


def _whole_lines(file: Path) -> list[str]:
    """Those up to the first that is not JSON: it was being written when its rank was killed."""
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
        try:
            json.loads(line)
        except ValueError:
            break
        found.append(line)
    return found
