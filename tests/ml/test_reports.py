"""The reports of the kinds on results made by hand: the same parts in both languages, no English in Chinese ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made import make_result, make_trial

from papergen.experiment.registry import load_kinds
from papergen.latex.text import Tex, escape
from papergen.report.parts import Part, View
from papergen.report.results import Results
from papergen.report.words import figure_in_language, in_language
from papergen.store.runs import Store

KINDS = load_kinds(None)
STAGES = ("tokenize", "forward", "postprocess")
MADE: Mapping[str, dict[str, Any]] = {
    "pipeline": {
        "rows": {"tagging": {"task": "token-classification", "model": "m"}},
        "metrics": {
            **{f"{name}_ms": 1.0 for name in (*STAGES, "total", "one_by_one")},
            **{f"{name}_mib": 1.0 for name in STAGES},
            **dict.fromkeys(("padding", "num_batches", "speedup", "largest_difference"), 1.0),
        },
        "facts": {
            "example_text": "文",
            "example_tokens": ["文"],
            "example_ids": [1],
            "example_logits": [1.0, 2.0],
            "example_probabilities": [0.3, 0.7],
            "example_labels": ["甲", "乙"],
        },
    },
    "early_eos": {
        "rows": {
            "none": {"model": "m"},
            "wording": {"model": "m", "prompt_prefix": "再写："},
            "idle": {"model": "m", "idle_remedy": "pad_token_id"},
        },
        "metrics": dict.fromkeys(
            ("early_rate", "eos_rate", "length", "inner_eos", "changed", "perplexity", "rep_4", "diversity"), 1.0
        ),
        "facts": {"reference_tokens": 64},
    },
    "tasks": {
        "rows": {"topics": {"task": "sequence_classification"}, "masked": {"task": "masked_lm"}},
        "metrics": {"accuracy": 90.0, "baseline": 30.0, "perplexity": 3.0},
        "facts": {"num_train_examples": 3, "num_test_examples": 2, "head": "X"},
        "series": {"train_loss": [(1, 2.0), (2, 1.0)]},
    },
    "decoding": {
        "rows": {
            "human": {"model": "m", "reference": True},
            "greedy": {"model": "m"},
            "nucleus": {"model": "m", "do_sample": True, "top_p": 0.9},
            "beam": {"model": "m", "num_beams": 2},
        },
        "metrics": dict.fromkeys(
            ("perplexity", "rep_2", "rep_4", "diversity", "distinct_2", "self_bleu", "zipf", "length", "tokens_per_s"),
            1.0,
        ),
        "facts": {"reference_tokens": 64},
        "series": {"repeated": [(1, 0.1), (2, 0.2)]},
    },
}
SAMPLE = {"prompt_index": 0, "ids": [1, 2], "finish": "eos", "prompt": "始", "text": "终"}
NAMES = re.compile(r"(rep|distinct)-\d|self-BLEU|Zipf|EOS|MiB|ms|logit|idle|top_p|s")


def part_of(kind: str, language: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    monkeypatch.setattr(View, "samples", lambda self, row: [SAMPLE])
    made, found = MADE[kind], KINDS[kind]
    results = {}
    for row, params in made["rows"].items():
        full = found.params.model_validate(params).model_dump(mode="json", by_alias=True)
        trial = replace(make_trial(kind, row), params=full)
        units = {name: [value, value] for name, value in made["metrics"].items() if name == "changed"}
        results[trial.digest] = make_result(
            trial, made["metrics"], units, facts=made["facts"], series=made.get("series", {})
        )
    trials = [result.trial for result in results.values()]
    states = dict.fromkeys(results, "finished")
    view = View(
        experiment=kind,
        results=Results(trials, results, states, {kind: found.module.METRICS}, {kind: found.row_labels}),  # type: ignore[arg-type]
        store=Store(folder),
        kind=found,
        escape=escape,
        language=language,
    )
    part = found.report(view)
    assert isinstance(part, Part)
    return replace(
        part,
        tables=[in_language(table, language) for table in part.tables],
        figures=[figure_in_language(figure, language) for figure in part.figures],
    )


def words_of(part: Part) -> set[str]:
    """What tables and figures print beside their cells."""
    found: set[str] = set()
    for table in part.tables:
        if table.name != "hyperparameters":  # which has parameters and rows as they are typed
            found |= {table.corner, *(text for one in table.columns for text in (one.heading, one.group, one.unit))}
            found |= {text for row in table.rows for text in (row.label, row.group)}
    for figure in part.figures:
        found |= {figure.x_label, figure.y_label, *(rule.label for rule in figure.rules)}
        for series in figure.series:
            found |= {series.label, *(series.names or ()), *(x for x in series.x if isinstance(x, str))}
    return {text for text in found if not isinstance(text, Tex)}


@pytest.mark.parametrize("kind", MADE)
def test_a_chinese_paper_has_the_same_parts_and_no_english_word(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    english, chinese = (part_of(kind, language, tmp_path, monkeypatch) for language in ("en", "zh"))
    for pieces in ("tables", "figures"):
        assert [one.name for one in getattr(english, pieces)] == [one.name for one in getattr(chinese, pieces)]
    assert {name for name, text in english.texts.items() if text} == {
        name for name, text in chinese.texts.items() if text
    }
    assert not {text for text in words_of(chinese) if re.search("[A-Za-z]", NAMES.sub("", text))}
    assert not {text for text in words_of(english) if re.search(r"[\u4e00-\u9fff]", text)} - {"甲", "乙"}
    cited = re.compile(r"\\cite\{[^}]*\}")
    for name, text in english.texts.items():
        assert sorted(cited.findall(str(text))) == sorted(cited.findall(str(chinese.texts[name]))), name
    assert re.search(r"[\u4e00-\u9fff]", str(chinese.texts["method"]))
    assert "{}" not in str(chinese.texts["method"])
