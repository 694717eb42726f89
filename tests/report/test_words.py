"""Tables of a Chinese paper have Chinese words, wherever a shipped kind brings an English one."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from papergen.core.shipped_files import shipped
from papergen.latex.text import Tex
from papergen.ml.decoding import describing, describing_zh, reported_metrics
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.ops.catalogue import OPERATIONS
from papergen.report.chinese import CHINESE
from papergen.report.figures.figure import Figure, Rule, Series
from papergen.report.tables.table import Column, NotAvailable, Row, Table
from papergen.report.words import figure_in_language, in_language, translated

TABLE = Table(
    name="t",
    columns=(Column(name="a", heading="Speed", unit="tokens/s"), Column(name="b", heading=Tex("$n$"))),
    rows=(
        Row(name="r", label="greedy", cells=("1", "2"), group="All rows"),
        Row(name="s", label="mine", cells=("", "")),
    ),
    corner="Strategy",
)


def test_words_are_translated_and_unknown_ones_and_latex_stay() -> None:
    table = in_language(TABLE, "zh")
    assert [column.heading for column in table.columns] == ["速度", "$n$"]
    assert table.columns[0].unit == "词元/秒"
    assert [row.label for row in table.rows] == ["贪心搜索", "mine"]
    assert (table.rows[0].group, table.corner) == ("所有行", "策略")
    assert in_language(TABLE, "en") is TABLE


@pytest.mark.parametrize("source", [shipped("experiments") / "training.py", Path(reported_metrics.__file__)])
def test_every_label_of_the_kinds_with_chinese_prose_has_a_chinese_one(source: Path) -> None:
    labels = set(re.findall(r'Metric\(name="\w+", label="([^"]+)"', source.read_text(encoding="utf-8")))
    assert labels
    names = re.compile("(rep|distinct|self)-|EOS")  # names that stay as they are
    words = {label for label in labels if re.search("[A-Za-z]{2}", label) and not names.match(label)}
    assert words <= set(CHINESE), f"add to papergen/report/chinese/: {words - set(CHINESE)}"


SHIPPED = ("training", "throughput", "biases", "decoding", "early_eos", "tasks", "pipeline", "ops")
LATIN = re.compile(
    r"(numpy|DDP|DataParallel|FSDP2|PowerSGD|MFU|GPU|NLL|MAUVE|Zipf|EOS|Python|top-k|min-p|p\d\d|fp16|ms|MiB|GiB|UTC|s|n|mnat"
    r"|(rep|distinct)-\d|self-BLEU|EM|F1|G?FLOP(/s)?|GB(/s)?|torch|numpy|logit|µs)"
)
"""What a Chinese paper leaves in Latin letters."""


def written_by(source: str) -> set[str]:
    """Every literal label, heading, axis, corner, group and name that a kind writes."""
    tree = ast.parse(source)
    asked = {"label", "heading", "group", "unit", "corner", "x_label", "y_label"}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in asked and isinstance(node.value, ast.Constant):
            found.add(str(node.value.value))
        if isinstance(node, ast.FunctionDef) and node.name == "row_label":
            for names in (one for one in ast.walk(node) if isinstance(one, ast.Dict)):
                found |= {str(value.value) for value in names.values if isinstance(value, ast.Constant)}
    return found


@pytest.mark.parametrize("kind", SHIPPED)
def test_nothing_that_a_shipped_kind_prints_is_left_in_english(kind: str) -> None:
    written = written_by((shipped("experiments") / f"{kind}.py").read_text(encoding="utf-8"))
    assert len(written) > 4
    left = {text for text in written if re.search("[A-Za-z]", LATIN.sub("", translated(text, "zh")))}
    assert not left, f"add to papergen/report/chinese/{kind}.py: {left}"


def test_the_rows_of_the_shipped_papers_have_chinese_names() -> None:
    folder = shipped("templates") / "twocolumn/project/experiments"
    assert translated("means_of_ranks", "zh") == "各进程均值"
    for kind in ("ablation", "throughput", "decoding", "tasks", "pipeline"):
        block = (folder / f"{kind}.yaml.new").read_text(encoding="utf-8").split("\nrows:\n")[1]
        rows = [row for row in re.findall(r"^  (\w+):", block, re.MULTILINE) if row not in {"ddp", "dp"}]
        assert rows
        assert not [row for row in rows if re.search("[A-Za-z]", LATIN.sub("", translated(row, "zh")))]


def test_figures_are_translated_everywhere_and_their_data_stay() -> None:
    series = Series(label="beam search", x=["single process", "mine"], y=[1.0, 2.0])
    english = Figure(
        name="f",
        kind="bar",
        series=(series,),
        x_label="Speed",
        y_label="Training loss (nats/token)",
        rules=(Rule(value=1.0, label="early"),),
    )
    figure = figure_in_language(english, "zh")
    assert (figure.x_label, figure.y_label, figure.rules[0].label) == ("速度", "训练损失 (奈特/词元)", "过早")
    assert figure.series[0] == replace(series, label="束搜索", x=["单进程", "mine"])
    assert figure_in_language(english, "en") is english


def test_words_of_ours_in_cells_are_translated_and_values_stay_as_typed() -> None:
    cells = (
        "within noise",
        "tokens",
        "2, unless given below",
        Tex("faster"),
        NotAvailable("torch.compile is used on GPUs only."),
    )
    columns = tuple(Column(name=str(index), heading="") for index in range(len(cells)))
    table = in_language(Table(name="t", columns=columns, rows=(Row(name="r", label="r", cells=cells),)), "zh")
    assert table.rows[0].cells[:4] == ("无显著差异", "tokens", "2（另列者除外）", "faster")
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
    english, chinese = describing.describe(strategy), describing_zh.describe(strategy)
    cited = re.compile(r"\\cite\{[^}]*\}")
    assert sorted(cited.findall(chinese)) == sorted(cited.findall(english))
    numbers = re.compile(r"-?\d+(?:\.\d+)?")
    assert set(numbers.findall(cited.sub("", chinese))) == set(numbers.findall(cited.sub("", english)))
    assert not re.search("[A-Za-z]{3,}", re.sub(r"\\\w+|\{[^}]*\}|top-|min-", "", chinese))


def test_every_operation_has_a_chinese_name_unless_it_is_code() -> None:
    code = re.compile(r"[a-z_]+|bmm|Linear|\[.*\]")  # view, triu, scaled_dot_product_attention, [1:, 0::2]
    labels = {operation.label for operation in OPERATIONS.values()}
    left = {label for label in labels if translated(label, "zh") == label and not code.fullmatch(label)}
    assert not left, f"add to papergen/report/chinese/ops.py: {left}"
