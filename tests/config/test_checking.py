"""A typed model's faults in the author's words: all at once, each where it stands."""

from __future__ import annotations

from typing import ClassVar, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from papergen.config import checked
from papergen.core.errors import InvalidParametersError, PapergenError, ParameterFault
from papergen.ml.training.settings import TrainingSettings


def test_a_value_that_the_author_never_wrote_is_called_a_default() -> None:
    def where(*path: object) -> str:
        return f"x.yaml:{path[0] if path else 'row'}"

    with pytest.raises(PapergenError) as caught:
        checked(TrainingSettings, {"max_steps": 30}, where)
    assert caught.value.message == (
        "x.yaml:max_steps: warmup_steps = 50 is more than max_steps = 30. Try 3. "
        "(warmup_steps is not written here and has its default: add a line `warmup_steps: ...`.)"
    )
    with pytest.raises(PapergenError) as caught:
        checked(TrainingSettings, {"max_steps": 30, "warmup_steps": 40}, where)
    assert caught.value.message == "x.yaml:warmup_steps: warmup_steps = 40 is more than max_steps = 30. Try 3."


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(default=1, ge=1)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    inner: Inner = Inner()
    either: str | list[int] = ""


def fault(data: dict[str, object]) -> str:
    with pytest.raises(PapergenError) as caught:
        checked(Outer, data, lambda *path: f"x.yaml:{'.'.join(map(str, path))}")
    return caught.value.message


def test_a_fault_says_where_it_is_what_was_met_and_what_would_be_right() -> None:
    assert fault({}) == "x.yaml:name: name is missing. Add a line `name: ...`."
    assert fault({"name": "a", "inner": {"size": 0}}) == (
        "x.yaml:inner.size: inner.size = 0: input should be greater than or equal to 1."
    )
    assert fault({"name": "a", "inner": {"sise": 2}}) == (
        "x.yaml:inner.sise: there is no parameter 'inner.sise'. Did you mean size?"
    )


def test_all_faults_are_told_at_once_without_the_branches_of_a_union() -> None:
    text = fault({"name": 3, "either": 1.5})
    assert text.startswith("3 faults in the configuration:")
    assert "x.yaml:name: name = 3: input should be a valid string." in text
    assert "x.yaml:either: either = 1.5" in text
    assert "list[int]" not in text


class Several(BaseModel):
    size: int = 1
    rate: int = 2
    told: ClassVar[Exception]

    @model_validator(mode="after")
    def _refused(self) -> Self:
        raise self.told


def refusal(told: Exception, data: dict[str, int]) -> str:
    with pytest.raises(PapergenError) as caught:
        checked(type("Told", (Several,), {"told": told}), data, lambda *path: f"x.yaml:{path[0] if path else 'row'}")
    return caught.value.message


def test_a_fault_stands_at_its_parameter_whatever_its_sentence_says() -> None:
    both = InvalidParametersError(
        ParameterFault("rate = 3 is odd.", "size"), ParameterFault("size: no.", "rate", "size")
    )
    assert refusal(both, {"size": 5, "rate": 3}) == (
        "2 faults in the configuration:\nx.yaml:size: rate = 3 is odd.\nx.yaml:rate: size: no."
    )
    assert refusal(both, {"size": 5}) == (
        "2 faults in the configuration:\nx.yaml:size: rate = 3 is odd.\nx.yaml:size: size: no. "
        "(rate is not written here and has its default: add a line `rate: ...`.)"
    )
    assert refusal(InvalidParametersError(ParameterFault("No.")), {"size": 5}) == "x.yaml:row: No."


def test_a_plain_value_error_of_a_whole_model_stands_at_the_row_and_is_not_read() -> None:
    assert refusal(ValueError("size = 5: no."), {"size": 5}) == "x.yaml:row: size = 5: no."
