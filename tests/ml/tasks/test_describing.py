"""The method passages say what the parameters say, in both languages."""

from __future__ import annotations

import string

import pytest

from papergen.ml.tasks.describing import PHRASES, heads_method, pipelines_method
from papergen.ml.tasks.pipeline_settings import PipelineSettings
from papergen.ml.tasks.settings import HEADS, TaskSettings


def places(phrase: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(phrase) if name}


def test_every_phrase_stands_in_both_languages_with_the_same_facts() -> None:
    english, chinese = PHRASES["en"], PHRASES["zh"]
    assert list(english) == list(chinese)
    formatted = [name for name, phrase in english.items() if "{{" in phrase or name in {"masked", "span", "model of"}]
    for name in formatted:
        assert places(chinese[name]) == places(english[name]), name


@pytest.mark.parametrize("language", PHRASES)
def test_heads_are_told_with_their_backbone_data_and_measures(language: str) -> None:
    backbone = TaskSettings(task="masked_lm", num_train_epochs=4, learning_rate=0.003, mlm_probability=0.3)
    rows = {task: TaskSettings.model_validate({"task": task, "model": {"from": "backbone"}}) for task in HEADS}
    text = heads_method(list(rows.values()), upstream=backbone, language=language, escape=str)
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
    alone = heads_method([rows["causal_lm"]], upstream=None, language=language, escape=str)
    assert "alain" not in alone
    assert PHRASES[language]["baseline"] not in alone
    own = TaskSettings(task="causal_lm", train_file="a.csv", test_file="b.csv", num_train_epochs=1)
    told = heads_method([own], upstream=None, language=language, escape=str)
    assert PHRASES[language]["own"] in told
    assert "epochs" not in told
    asked = own.model_copy(update={"task": "question_answering"})
    assert "\\cite{cui2019span}" in heads_method([asked], upstream=None, language=language, escape=str)
    assert "cui2019span" not in text
    both = heads_method([own, rows["causal_lm"]], upstream=None, language=language, escape=str)
    assert PHRASES[language]["both"] in both


@pytest.mark.parametrize("language", PHRASES)
@pytest.mark.parametrize("batches", [{}, {"batch_size": 7}, {"batch_tokens": 2048}, {"group_by_length": False}])
def test_pipelines_are_told_with_their_batches(language: str, batches: dict[str, int]) -> None:
    row = PipelineSettings.model_validate({"task": "fill-mask", "model": "x", "num_inputs": 33, **batches})
    text = pipelines_method([row], language=language, escape=str)
    for fact in (
        "fill-mask" if language == "en" else "掩码预测",
        "33",
        *(str(value) for value in batches.values() if value is not False),
    ):
        assert fact in text
    assert "{" not in text.replace("\\cite{", "")
