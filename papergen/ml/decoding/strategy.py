"""A decoding strategy: its parameters, checked, and the algorithm that they select."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import create_model, model_validator

from papergen.core.errors import InvalidParametersError
from papergen.ml.decoding.algorithm import Algorithm, algorithm_of, algorithms
from papergen.ml.decoding.parameters import StrategyParameters
from papergen.ml.decoding.validation import faults

if TYPE_CHECKING:
    _Fields = StrategyParameters
else:
    _Fields = create_model(
        "_Fields",
        __base__=(*(one.parameters for one in algorithms() if one.parameters is not None), StrategyParameters),
    )
    """All parameters, those that algorithms bring included; mypy knows those of `StrategyParameters`."""


class Strategy(_Fields):
    """How text is generated from prompts. Only what is written here decides, never the model's own defaults.

    Raises pydantic's ValidationError (a ValueError), one sentence per fault, for a combination that has no meaning.
    """

    @model_validator(mode="after")
    def _means_something(self) -> Strategy:
        if found := faults(self):
            raise InvalidParametersError(*found)
        return self

    @property
    def algorithm(self) -> Algorithm:
        """What these parameters select."""
        return algorithm_of(self)

    @property
    def is_search(self) -> bool:
        """Whether several hypotheses per prompt compete, so that there is a search score."""
        return self.algorithm.is_search

    @property
    def idle_params(self) -> frozenset[str]:
        """What no step of this strategy looks at."""
        owned = {name for one in algorithms() for name in one.own_parameters}
        return frozenset(owned.difference(self.algorithm.own_parameters))
