"""The method passages say what the parameters say, in both languages."""

from __future__ import annotations

import string

import pytest

from papergen.core.phrase import Phrase, said
from papergen.ml.tasks import describing
from papergen.ml.tasks.describing import heads_method, pipelines_method
from papergen.ml.tasks.pipeline_settings import PipelineSettings
from papergen.ml.tasks.settings import HEADS, TaskSettings


def places(phrase: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(phrase) if name}


PHRASES = [phrase for phrase in vars(describing).values() if isinstance(phrase, Phrase)]
PHRASES += [phrase for _, phrase in describing.MEASURES]


def test_every_phrase_stands_in_both_languages_with_the_same_facts() -> None:
    assert len(PHRASES) > 12
    formatted = [phrase for phrase in PHRASES if phrase is not describing.CHARACTERS]
    for phrase in formatted:
        assert places(phrase.zh) == places(phrase), phrase


@pytest.mark.parametrize("language", ["en", "zh"])
def test_heads_are_told_with_their_backbone_data_and_measures(language: str) -> None:
    backbone = TaskSettings(task="masked_lm", num_train_epochs=4, learning_rate=0.003, mlm_probability=0.3)
    rows = {task: TaskSettings.model_validate({"task": task, "model": {"from": "backbone"}}) for task in HEADS}
    text = said(heads_method(list(rows.values()), upstream=backbone, escape=str), language)
    assert text.count("\\texttt{") == len(HEADS) + 1
    assert "\\texttt{For\\allowbreak Masked\\allowbreak LM}" in text
    for fact in (
        "0.003",
        "30\\%",
        "2048",
        "\\cite{alain2016understanding}",
        "\\cite{devlin2019bert}",
    ):
        assert fact in text
    assert "{" not in text.replace("\\texttt{", "").replace("\\cite{", "")
    alone = said(heads_method([rows["causal_lm"]], upstream=None, escape=str), language)
    assert "alain" not in alone
    assert said(describing.BASELINE, language) not in alone
    own = TaskSettings(task="causal_lm", train_file="a.csv", test_file="b.csv", num_train_epochs=1)
    told = said(heads_method([own], upstream=None, escape=str), language)
    assert said(describing.OWN, language) in told
    assert "epochs" not in told
    asked = own.model_copy(update={"task": "question_answering"})
    assert "\\cite{cui2019span}" in said(heads_method([asked], upstream=None, escape=str), language)
    assert "cui2019span" not in text
    both = said(heads_method([own, rows["causal_lm"]], upstream=None, escape=str), language)
    assert said(describing.BOTH, language) in both


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("batches", [{}, {"batch_size": 7}, {"batch_tokens": 2048}, {"group_by_length": False}])
def test_pipelines_are_told_with_their_batches(language: str, batches: dict[str, int]) -> None:
    row = PipelineSettings.model_validate({"task": "fill-mask", "model": "x", "num_inputs": 33, **batches})
    text = said(pipelines_method([row], escape=str), language)
    for fact in (
        "fill-mask" if language == "en" else "掩码预测",
        "33",
        *(str(value) for value in batches.values() if value is not False),
    ):
        assert fact in text
    assert "{" not in text.replace("\\cite{", "")
