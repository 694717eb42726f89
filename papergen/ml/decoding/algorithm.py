"""What a decoding algorithm is: when it is selected, what it refuses, its search, and its words for a method section.

Every file of the folder `algorithms` registers one or more; so do installed packages, by the entry points of the group
`papergen.decoding_algorithms`. docs/contributing/decoding-strategy.md shows how one is added.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from papergen.core.errors import ParameterFault
from papergen.core.phrase import Phrase
from papergen.experiment.api import Params, words_only
from papergen.ml.decoding.parameters import StrategyParameters

if TYPE_CHECKING:
    from papergen.ml.decoding.search import Batch, Hypothesis

ENTRY_POINTS = "papergen.decoding_algorithms"
"""Group of entry points: `typical_beam = "my_package.typical_beam"` names a module that registers its algorithm."""


class Algorithm:
    """Base of all decoding algorithms; one object of each class is registered."""

    name: ClassVar[str]
    """Short name, for tests and messages."""
    asked_by: ClassVar[str] = ""
    """What an author writes to ask for it, `penalty_alpha` or `num_beams > 1`; empty for what runs without asking."""
    asking: ClassVar[tuple[str, ...]] = ()
    """The parameters in `asked_by`: what is wrong with the choice is told at the line of one of them."""
    parameters: ClassVar[type[Params] | None] = None
    """Fields that it adds to those of `StrategyParameters`: a strategy has them, and YAML rows may set them."""
    own_parameters: ClassVar[tuple[str, ...]] = ()
    """Parameters that do nothing under other algorithms."""
    also_reads: ClassVar[tuple[str, ...]] = ()
    """Parameters of random draws that it reads without drawing (`top_k` in contrastive search)."""
    citations: ClassVar[tuple[str, ...]] = ()
    """Bibliography keys of its papers; its phrases cite them, methods.bib has them."""
    is_search: ClassVar[bool] = False
    """Whether several hypotheses per prompt compete, so that each has a search score and a prompt one random stream."""
    needs_cache: ClassVar[bool] = False
    """Whether it works on the keys and values of past tokens."""
    needs_hidden_states: ClassVar[bool] = False
    """Whether its search reads the hidden states of every step."""

    @property
    def file(self) -> Path | None:
        """The file that registers it, of an installed package; None for papergen's own."""
        module = type(self).__module__
        return None if module.startswith("papergen.") else Path(str(sys.modules[module].__file__))

    def is_selected(self, strategy: StrategyParameters) -> bool:
        """Whether these parameters ask for it; what is asked for by nothing runs where no other is selected."""
        raise NotImplementedError

    def faults(self, strategy: StrategyParameters) -> Iterator[ParameterFault]:
        """Combinations that it refuses: a sentence each, with the reason and what to type instead, and what clashes."""
        del strategy
        yield from ()

    def fault_without(self, strategy: StrategyParameters, parameter: str) -> ParameterFault:
        """Why one of `own_parameters` is refused where another algorithm runs."""
        value = getattr(strategy, parameter)
        return ParameterFault(
            f"{parameter} = {value} without {self.asked_by} changes nothing. Leave it out, or set {self.asked_by}.",
            parameter,
        )

    def most_outputs(self, strategy: StrategyParameters) -> int | None:
        """Most continuations of a prompt that differ; None for no limit."""
        return None if strategy.do_sample else 1

    def rows_per_prompt(self, strategy: StrategyParameters, vocabulary_size: int) -> int:
        """Rows that the search has in the batch for every prompt; 1 for what is no search, whose rows come and go."""
        del strategy, vocabulary_size
        return 1

    def num_drafts(self, strategy: StrategyParameters) -> int:
        """Most tokens of the first draft; 0 without drafts."""
        del strategy
        return 0

    def contrast_layers(self, strategy: StrategyParameters, model: Any) -> tuple[int, ...] | None:
        """Layers whose logits are contrasted with the last one's at every step; None for no contrast."""
        del strategy, model
        return None

    def search(self, batch: Batch) -> list[list[Hypothesis]]:
        """`num_return_sequences` hypotheses per prompt, best first or by sample index."""
        raise NotImplementedError

    @words_only
    def phrases(self, strategy: StrategyParameters) -> Iterator[Phrase]:
        """What a method section calls it, in both languages and in LaTeX: noun phrases that commas will join."""
        raise NotImplementedError


_registered: dict[str, Algorithm] = {}


def register(algorithm: type[Algorithm]) -> type[Algorithm]:
    """Class decorator: the algorithm can be selected from now on."""
    assert algorithm.name not in _registered, f"two decoding algorithms are called {algorithm.name}"
    _registered[algorithm.name] = algorithm()
    return algorithm


@functools.cache
def _load() -> None:
    """Import what registers algorithms, once."""
    folder = Path(__file__).parent / "algorithms"
    for module in sorted(pkgutil.iter_modules([str(folder)]), key=lambda module: module.name):
        # Written like this, the fingerprint of a trial's code takes in every file of the folder.
        importlib.import_module(f"papergen.ml.decoding.algorithms.{module.name}")
    for point in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        point.load()


def algorithms() -> Sequence[Algorithm]:
    """All that are registered."""
    _load()
    return tuple(_registered.values())


def selected(strategy: StrategyParameters) -> list[Algorithm]:
    """The algorithms that these parameters ask for: one, or more in a strategy that is refused for it."""
    found = [one for one in algorithms() if one.is_selected(strategy)]
    return [one for one in found if one.asked_by] or found


def algorithm_of(strategy: StrategyParameters) -> Algorithm:
    """The algorithm that valid parameters select."""
    (found,) = selected(strategy)
    return found
