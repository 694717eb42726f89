"""One contract over every registered decoding algorithm."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

import papergen.report
from papergen.ml.decoding.algorithm import Algorithm, algorithm_of, algorithms
from papergen.ml.decoding.describing import describe
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.stepper import Stepper
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.decoding.tree import TreeStepper

ALGORITHMS = {one.name: one for one in algorithms()}

METHODS = Path(papergen.report.__file__).parent / "methods.bib"

CHOICES: dict[str, tuple[Any, ...]] = {
    "do_sample": (False, True),
    "num_beams": (1, 4),
    "num_beam_groups": (1, 2),
    "diversity_penalty": (0.0, 0.5),
    "force_words_ids": (None, [[5]]),
    "penalty_alpha": (None, 0.6),
    "top_k": (0, 4),
    "dola_layers": (None, "low"),
    "prompt_lookup_num_tokens": (None, 3),
    "assistant_model": (None, "drafter"),
    "num_return_sequences": (1, 2),
}
"""Every combination of these is tried."""


def legal() -> list[Strategy]:
    found = []
    for values in itertools.product(*CHOICES.values()):
        try:
            found.append(Strategy(max_new_tokens=4, **dict(zip(CHOICES, values, strict=True))))
        except ValidationError as error:
            messages = [str(one["msg"]) for one in error.errors()]
            assert all(re.search(r"Try |Leave |Keep |Raise |Give |there are", message) for message in messages), (
                messages
            )
    return found


LEGAL = legal()


def example(name: str) -> Strategy:
    """Two continuations per prompt where the algorithm has them."""
    return max((one for one in LEGAL if one.algorithm.name == name), key=lambda one: one.num_return_sequences)


def test_every_legal_setting_selects_one_algorithm_and_every_algorithm_is_selected() -> None:
    assert {algorithm_of(strategy).name for strategy in LEGAL} == set(ALGORITHMS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_its_phrases_cite_its_papers_and_the_bibliography_has_them(name: str) -> None:
    keys = set(re.findall(r"^@\w+\{([^,]+),", METHODS.read_text(encoding="utf-8"), re.MULTILINE))
    citations = set(ALGORITHMS[name].citations)
    assert citations <= keys
    for phrase in (describe(example(name)), describe(example(name)).zh):
        cited = {key for group in re.findall(r"\\cite\{([^}]*)\}", phrase) for key in group.split(",")}
        assert citations <= cited <= keys
    assert re.search(r"[\u4e00-\u9fff]", describe(example(name)).zh)
    assert not re.search(r"[\u4e00-\u9fff]", describe(example(name)))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_its_own_parameters_are_refused_without_it(name: str) -> None:
    algorithm = ALGORITHMS[name]
    for parameter in algorithm.own_parameters:
        field = Strategy.model_fields[parameter]
        plain = example("greedy").model_dump() | {"do_sample": False}
        assert parameter in Strategy(**plain).idle_params
        assert parameter not in example(name).idle_params
        changed = {"num_assistant_tokens_schedule": "heuristic_transient", "early_stopping": True}.get(parameter, 3)
        if isinstance(field.default, float):
            changed = 0.3
        with pytest.raises(ValidationError, match=rf"{parameter}.*(Leave|Try|Raise)"):
            Strategy(**plain | {parameter: changed})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_returns_what_it_declares(
    name: str, gpt2: Any, prompts: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpt2.save_pretrained(tmp_path / "drafter")
    strategy = example(name)
    if strategy.assistant_model is not None:
        strategy = strategy.model_copy(update={"assistant_model": str(tmp_path / "drafter")})
    algorithm: Algorithm = strategy.algorithm
    fans: list[int] = []
    for stepper in (Stepper, TreeStepper):
        own = stepper.fan_out
        monkeypatch.setattr(stepper, "fan_out", lambda self, n, own=own: (fans.append(n), own(self, n))[1])
    found = generate(gpt2, None, prompts, strategy, seed=1, batch_size=4)
    places = [(one.prompt_index, one.sample_index) for one in found]
    assert places == [(i, k) for i in range(len(prompts)) for k in range(strategy.num_return_sequences)]
    assert all((one.score is not None) == algorithm.is_search for one in found)
    assert all(1 <= len(one.ids) <= 4 for one in found)
    rows = algorithm.rows_per_prompt(strategy, gpt2.config.vocab_size)
    assert set(fans) == ({rows} if rows > 1 else set())
    assert torch.tensor([one.log_prob for one in found]).isfinite().all()
