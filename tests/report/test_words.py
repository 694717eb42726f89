"""Tables of a Chinese paper have Chinese words, wherever a shipped kind brings an English one."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FAKE_KIND
from made import make_result

from papergen.core.phrase import Phrase, listed, said
from papergen.core.shipped_files import shipped
from papergen.experiment.project import open_project
from papergen.experiment.registry import load_kinds
from papergen.latex.text import Tex
from papergen.latex.venues.typesetting import typeset
from papergen.ml.decoding import describing
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.ops.catalogue import OPERATIONS
from papergen.paper.generated import generate
from papergen.report import appendix, declared, derived, plain
from papergen.report.figures.figure import Figure, Rule, Series
from papergen.report.results import Results, row_label
from papergen.report.tables.table import Column, NotAvailable, Row, Table
from papergen.report.words import figure_in_language, in_language

KINDS = load_kinds(None)
SHIPPED = [name for name, kind in KINDS.items() if hasattr(kind.module, "METRICS")]
"""All but the external kinds, whose metrics are the author's."""

TABLE = Table(
    name="t",
    columns=(
        Column(name="a", heading=Phrase("Speed", "速度"), unit=Phrase("tokens/s", "词元/秒")),
        Column(name="b", heading=Tex("$n$")),
    ),
    rows=(
        Row(name="r", label=Phrase("greedy", "贪心搜索"), cells=("1", "2"), group="temperature"),
        Row(name="s", label="mine", cells=("", "")),
    ),
    corner=Phrase("Strategy", "策略"),
)


def test_phrases_are_printed_in_the_language_and_other_text_stays() -> None:
    table = in_language(TABLE, "zh")
    assert [column.heading for column in table.columns] == ["速度", "$n$"]
    assert table.columns[0].unit == "词元/秒"
    assert [row.label for row in table.rows] == ["贪心搜索", "mine"]
    assert (table.rows[0].group, table.corner) == ("temperature", "策略")
    assert in_language(TABLE, "en") == TABLE


LATIN = re.compile(
    r"(?<![A-Za-z])(numpy|DDP|DataParallel|FSDP2|PowerSGD|MFU|GPU|NLL|MAUVE|Zipf|EOS|Python|top-k|min-p|p\d\d|fp16|ms|MiB|GiB"
    r"|UTC|s|n|(rep|distinct)-\d|self-BLEU|EM|F1|G?FLOP(/s)?|GB(/s)?|torch|logit|µs|transformers)(?![A-Za-z])"
)
"""What a Chinese paper leaves in Latin letters."""


SOURCES = sorted(
    {
        *(shipped("experiments") / f"{kind}.py" for kind in SHIPPED),
        *Path(describing.__file__).parents[1].rglob("*report*.py"),
        *Path(describing.__file__).parents[1].rglob("roofline.py"),
        *Path(describing.__file__).parents[1].rglob("scaling.py"),
        *(Path(str(module.__file__)) for module in (appendix, declared, derived, plain)),
    }
)
"""Where tables, figures and metrics are made: the kinds, their reports, and what every kind gets."""


def written_in(source: Path) -> tuple[set[str], set[tuple[str, str]]]:
    """What a module writes for print: plain literals of labels, headings, axes and units; and its phrases."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    asked = {"label", "heading", "group", "unit", "corner", "x_label", "y_label"}
    plain_ones: set[str] = set()
    phrases: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in asked:
            values = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
            plain_ones |= {str(one.value) for one in values if isinstance(one, ast.Constant)}
            plain_ones |= {ast.unparse(one) for one in values if isinstance(one, ast.JoinedStr)}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Phrase":
            english, chinese = node.args
            if isinstance(english, ast.Constant) and isinstance(chinese, ast.Constant):
                phrases.add((str(english.value), str(chinese.value)))
    return plain_ones, phrases


def in_english(text: str) -> str:
    """What is left of a Chinese text in Latin letters: without names, fields to be filled in, and LaTeX."""
    return "".join(
        re.findall("[A-Za-z]", LATIN.sub("", re.sub(r"\\[a-z]+(\{+[^}]*\}+)?|\{\w*\}|\\$[^$]*\\$", "", text)))
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_nothing_that_is_printed_is_written_in_english_alone(source: Path) -> None:
    alone, phrases = written_in(source)
    assert not {text for text in alone if in_english(text)}, "write Phrase(english, chinese)"
    assert not {zh for _, zh in phrases if in_english(zh) and not re.search("[\u3001-\u9fff]", zh)}


def test_the_sources_of_the_test_above_have_what_it_looks_for() -> None:
    written = [written_in(source) for source in SOURCES]
    assert sum(len(phrases) for _, phrases in written) > 150
    assert len(SOURCES) > 15


@pytest.mark.parametrize("kind", SHIPPED)
def test_every_metric_of_a_shipped_kind_has_a_chinese_label_and_unit(kind: str) -> None:
    metrics = KINDS[kind].module.METRICS
    assert len(metrics) > 4
    words = {text for metric in metrics for text in (metric.label, metric.unit, metric.axis)}
    assert not {text for text in words if in_english(said(text, "zh"))}


def test_the_rows_of_the_shipped_papers_have_chinese_names() -> None:
    folder = shipped("templates") / "twocolumn/project/experiments"
    assert said(row_label("means_of_ranks", KINDS["training"].row_labels), "zh") == "各进程均值"
    by_other_names = {"biases", "early_eos", "ops"}  # ranks, parameters and operations stand in the place of rows
    files = {path.name.partition(".")[0]: path for path in folder.glob("*.yaml.new")}
    assert len(files) > 10
    for name in files.keys() - by_other_names:
        text = files[name].read_text(encoding="utf-8")
        labels = KINDS[str(re.search(r"^kind: (\w+)", text, re.MULTILINE)[1])].row_labels  # type: ignore[index]
        rows = re.findall(r"^  (\w+):", text.split("\nrows:\n")[1], re.MULTILINE)
        assert rows
        assert not [row for row in rows if in_english(said(row_label(row, labels), "zh"))], name


def test_rows_of_an_own_kind_keep_their_names_in_a_chinese_paper(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "paper.yaml").write_text("title: 题目\nlanguage: zh\nauthors: [{name: 甲}]\n", encoding="utf-8")
    (tmp_path / "experiments/mine.py").write_text(FAKE_KIND.split("def report")[0], encoding="utf-8")
    (tmp_path / "experiments/own.yaml").write_text(
        "kind: mine\nrows:\n  temperature: {size: 2}\n  single: {}\n  single_process: {size: 3}\n", encoding="utf-8"
    )
    project = open_project(tmp_path)
    results = {
        trial.digest: make_result(trial, {"score": 1.0 + place, "loss": 1.0}, {"loss": [0.5, 1.5]})
        for place, trial in enumerate(project.trials)
    }
    states = dict.fromkeys(results, "finished")
    found = Results(project.trials, results, states, project.metrics, project.row_labels)  # type: ignore[arg-type]
    printed = {
        name: text.decode() for name, text in generate(project, found, typeset(project.paper, tmp_path)).files.items()
    }
    for label in ("temperature", "single", "single process", "Score", "Loss"):
        assert label in printed["tables/own-results.tex"]
    assert "温度" not in printed["tables/own-results.tex"]
    assert "单进程" not in printed["tables/own-results.tex"]
    assert "参数" in printed["tables/own-hyperparameters.tex"]  # the mechanism's own words are Chinese


def test_a_phrase_survives_copies_and_is_filled_in_in_both_languages() -> None:
    phrase = Phrase("Against {}", "与{}相比").format(Phrase("greedy", "贪心搜索"))
    for one in (phrase, copy.deepcopy(phrase), pickle.loads(pickle.dumps(phrase))):
        assert (one, said(one, "zh"), said(one, "en")) == ("Against greedy", "与贪心搜索相比", "Against greedy")
    assert said(listed([phrase, "top_p 0.9"]), "zh") == "与贪心搜索相比，top_p 0.9"
    assert said(listed(["mine", "top_p 0.9"]), "zh") == "mine, top_p 0.9"
    assert said(Tex(r"\texttt{x}"), "zh") == r"\texttt{x}"


def test_figures_are_translated_everywhere_and_their_data_stay() -> None:
    series = Series(label=Phrase("beam search", "束搜索"), x=[Phrase("single process", "单进程"), "mine"], y=[1.0, 2.0])
    english = Figure(
        name="f",
        kind="bar",
        series=(series,),
        x_label=Phrase("Speed", "速度"),
        y_label="Training loss",
        rules=(Rule(value=1.0, label=Phrase("early", "过早")),),
    )
    figure = figure_in_language(english, "zh")
    assert (figure.x_label, figure.y_label, figure.rules[0].label) == ("速度", "Training loss", "过早")
    assert figure.series[0] == replace(series, label="束搜索", x=["单进程", "mine"])
    assert figure_in_language(english, "en").x_label == "Speed"


def test_phrases_in_cells_are_translated_and_values_stay_as_typed() -> None:
    cells = (
        Phrase("within noise", "无显著差异"),
        "better",
        Tex("faster"),
        NotAvailable(Phrase("torch.compile is used on GPUs only.", "torch.compile 只在 GPU 上使用。")),
    )
    columns = tuple(Column(name=str(index), heading="") for index in range(len(cells)))
    table = in_language(Table(name="t", columns=columns, rows=(Row(name="r", label="r", cells=cells),)), "zh")
    assert table.rows[0].cells[:3] == ("无显著差异", "better", "faster")
    assert table.footnotes == ["torch.compile 只在 GPU 上使用。"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"do_sample": True},
        {"do_sample": True, "top_p": 0.9, "temperature": 0.7},
        {"do_sample": True, "top_k": 40, "top_p": 0.9},
        {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True},
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
        {"penalty_alpha": 0.6, "top_k": 4},
        {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "suppress_tokens": ["eos"]},
        {"min_new_tokens": 16, "sequence_bias": {"eos": -1}},
    ],
)
def test_a_strategy_is_described_in_chinese_with_the_same_citations_and_numbers(options: dict[str, object]) -> None:
    strategy = Strategy.model_validate({"max_new_tokens": 32, **options})
    english = describing.describe(strategy)
    chinese = english.zh
    cited = re.compile(r"\\cite\{[^}]*\}")
    assert sorted(cited.findall(chinese)) == sorted(cited.findall(english))
    numbers = re.compile(r"-?\d+(?:\.\d+)?")
    assert set(numbers.findall(cited.sub("", chinese))) == set(numbers.findall(cited.sub("", english)))
    assert not re.search("[A-Za-z]{3,}", re.sub(r"\\\w+|\{[^}]*\}|top-|min-", "", chinese))


def test_every_operation_has_a_chinese_name_unless_it_is_code() -> None:
    code = re.compile(r"[a-z_]+|bmm|Linear|\[.*\]")  # view, triu, scaled_dot_product_attention, [1:, 0::2]
    labels = {operation.label for operation in OPERATIONS.values()}
    left = {label for label in labels if said(label, "zh") == label and not code.fullmatch(label)}
    assert not left, f"no Chinese for {left}"
