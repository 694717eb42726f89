"""The author's YAML: what is allowed, and the message that each fault gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import papergen
from fakes import FAKE_KIND

from papergen.config import ExperimentConfig, checked, find_project, read_experiments, read_paper
from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import parse_yaml
from papergen.ml.training.settings import TrainingSettings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.5E+2", 150.0),
        (".5", 0.5),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("2026-11-23", "2026-11-23"),
        ("012", "012"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("10_000", 10_000),
        ("-7", -7),
        ("'1'", "1"),
        ("~", None),
        ("[1, 1e3]", [1, 1000.0]),
    ],
)
def test_scalars_mean_what_they_look_like(text: str, value: object) -> None:
    found = parse_yaml(text, "x.yaml")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: the key 'a' stands twice, first on line 1"),
        ("a: &x 1\nb: *x\n", "x.yaml:1: no anchors"),
        ("a: !!python/object:os.system {}\n", "x.yaml:1: tags"),
        ("a: [1, 2\nb: 3\n", "x.yaml:2: not valid YAML"),
        ("a: 1\n\tb: 2\n", "x.yaml:2: not valid YAML"),
    ],
)
def test_what_yaml_may_not_do(text: str, message: str) -> None:
    with pytest.raises(PapergenError) as caught:
        parse_yaml(text, "x.yaml")
    assert message in str(caught.value)


def test_a_row_keeps_the_value_that_it_sets_itself_from_the_grid(project: Path) -> None:
    path = project / "experiments" / "fake.yaml"
    path.write_text("kind: fake\nrows: {a: {size: 2}, b: {}}\ngrid: {size: [1, 3], rate: [0.1]}\n")
    rows = read_experiments(project)["fake"].rows
    assert {row: params["size"] for row, params in rows.items()} == {
        "a@rate-0.1": 2,
        "b@size-1@rate-0.1": 1,
        "b@size-3@rate-0.1": 3,
    }


def test_rows_grid_seeds_and_overrides(project: Path) -> None:
    path = project / "experiments" / "first.yaml"
    path.write_text("kind: fake\nseeds: [3]\nrate: 0.1\nrows: {a: {size: 2}, b: {}}\ngrid: {rate: [1e-3, 0.2]}\n")
    config = read_experiments(project, overrides=["first.rows.a.size=7"], seeds=[1, 2])["first"]
    assert config.seeds == (1, 2)
    assert config.rows == {
        "a@rate-0.001": {"rate": 0.001, "size": 7},
        "a@rate-0.2": {"rate": 0.2, "size": 7},
        "b@rate-0.001": {"rate": 0.001},
        "b@rate-0.2": {"rate": 0.2},
    }
    assert config.where("a@rate-0.2", ["size"]) == "-o first.rows.a.size=7"
    assert config.where("a@rate-0.2", ["rate"]) == "experiments/first.yaml:5"
    assert config.where("b@rate-0.2", ["nothing"]) == "experiments/first.yaml:4"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("seeds: [0]\n", ["experiments/first.yaml:1: no `kind:` line"]),
        ("kind: fake\nseeds: [0, 0]\n", ["experiments/first.yaml:2: seeds = [0, 0]: a seed stands twice"]),
        ("kind: fake\nseeds: 3\nrows: [a]\n", ["first.yaml:2: seeds = 3", "first.yaml:3: write rows as"]),
        ("kind: fake\nrows: {'a/b': {}}\n", ["first.yaml:2: row name 'a/b'"]),
        ("kind: fake\nrows:\n  a: 3\n", ["first.yaml:3: write the row as `a: {parameter: value}`"]),
        ("- 1\n", ["first.yaml:1: expected `name: value` lines, found a list"]),
        ("kind：fake\nseeds: [0]\n", ["first.yaml:1: not valid YAML. The ： in it is U+FF1A, not ASCII: type `:`."]),
        ("kind: fake\nsize：6   # x\n\nrows:\n  a: {}\n", ["first.yaml:2: not valid YAML. The ： in it"]),
        (
            "kind: fake\nrows:\n\u3000\u3000a: {}\n  b: {}\n",
            ["first.yaml:3: not valid YAML. The space in it is U+3000"],
        ),
        ("kind: fake\nrows:\n  a: ｛size: 2｝\n", ["first.yaml:3: not valid YAML. The ｛ in it", "type `{`"]),
        ("kind: fake\nseeds: [0，1]\n", ["first.yaml:2: seeds = ['0，1']", "The ， in it is U+FF0C"]),
        ("kind: fake\nrows:\n  a：{size: 2}\n", ["first.yaml:3: row name 'a：{size'", "The ： in it"]),
        ("kind: fake\ndescription: 大小：甲: 乙\n", ["first.yaml:2: not valid YAML: mapping values", "needs quotes"]),
    ],
)
def test_faults_name_file_and_line(project: Path, text: str, messages: list[str]) -> None:
    (project / "experiments" / "first.yaml").write_text(text)
    with pytest.raises(PapergenError) as caught:
        read_experiments(project)
    for message in messages:
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("first.size", "write experiment.parameter=value"),
        ("frist.size=3", "there is no experiment 'frist'. Did you mean first?"),
        ("first.rows.smal.size=3", "first has no row 'smal'. Did you mean small?"),
        ("first.rate.x=3", "rate holds one value"),
    ],
)
def test_override_faults(project: Path, override: str, message: str) -> None:
    with pytest.raises(PapergenError) as caught:
        read_experiments(project, overrides=[override])
    assert message in str(caught.value)


def test_a_full_width_sign_in_a_parameter_is_shown(project: Path) -> None:
    (project / "paper.yaml").write_text("title: x\n\u00a0language: zh\n", encoding="utf-8")
    with pytest.raises(PapergenError, match=r"paper.yaml:2: .*Did you mean language\? The space in it is U\+00A0"):
        read_paper(project)


def test_paper_yaml_reports_all_faults_at_once(project: Path) -> None:
    (project / "paper.yaml").write_text("titel: x\nauthors:\n  - name: 3\n    mail: y\nlanguage: fr\n")
    with pytest.raises(PapergenError) as caught:
        read_paper(project)
    text = str(caught.value)
    assert "paper.yaml:1: there is no parameter 'titel'. Did you mean title?" in text
    assert "title is missing" in text
    assert "paper.yaml:3: authors.0.name = 3: input should be a valid string." in text
    assert "paper.yaml:4: there is no parameter 'authors.0.mail'. Did you mean email?" in text
    assert "paper.yaml:5: language = 'fr': input should be 'en' or 'zh'." in text


def test_project_is_found_from_inside_and_missed_outside(project: Path, tmp_path: Path) -> None:
    assert find_project(project / "experiments") == project
    with pytest.raises(PapergenError, match="not inside a paper project"):
        find_project(tmp_path)


def config_of(project: Path, text: str, **options: object) -> ExperimentConfig:
    (project / "experiments" / "first.yaml").write_text(text, encoding="utf-8")
    return read_experiments(project, **options)["first"]  # type: ignore[arg-type]


def fault_of(project: Path, text: str, **options: object) -> str:
    with pytest.raises(PapergenError) as caught:
        config_of(project, text, **options)
    return str(caught.value)


def test_the_environment_fills_values_in_typed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_SIZE", "7")
    monkeypatch.setenv("PG_TEXT", "a b: c")
    monkeypatch.setenv("PG_LIST", "[1, 2]")
    config = config_of(
        project,
        "kind: fake\nsize: ${env:PG_SIZE}\nrate: ${env:PG_NOT:-1e-3}\nname: x-${env:PG_SIZE}-${env:PG_TEXT}\n"
        'text: ${env:PG_TEXT}\nsecret: ${secret:PG_SIZE}\ngrid: {many: "${env:PG_LIST}"}\n',
    )
    assert config.rows["main@many-1"] == {
        "size": 7,
        "rate": 0.001,
        "name": "x-7-a b: c",
        "text": "a b: c",
        "secret": "${secret:PG_SIZE}",
        "many": 1,
    }


def test_a_missing_variable_of_one_row_is_told_at_its_line(project: Path) -> None:
    text = "kind: fake\nrows:\n  a: {}\n  b:\n    size: ${env:PG_NO_SUCH}\n  c: {rate: '${evn:X}'}\n"
    told = fault_of(project, text)
    assert "first.yaml:5: ${env:PG_NO_SUCH}: the environment has no variable PG_NO_SUCH." in told
    assert "first.yaml:6: ${evn:X}: write ${env:NAME}, ${env:NAME:-default} or ${secret:NAME}." in told
    assert "needs quotes inside { } and [ ]" in fault_of(project, "kind: fake\nrows: {a: {size: ${env:X}}}\n")
    # A preset that nobody uses asks for nothing.
    config_of(project, "kind: fake\npresets: {gpu: {size: '${env:PG_NO_SUCH}'}}\n")


def test_overrides_reach_everything(project: Path) -> None:
    text = "kind: fake\nsizes: [1, 2]\nmodel: {name: x, deep: {a: 1}}\nrows: {v1.5: {}, v1: {}}\ngrid: {rate: [1]}\n"
    overrides = [
        "sizes.1=9",
        "model.deep.a=2",
        "model.deep.b=[3]",
        "rows.v1.5.size=4",
        "grid.rate=range(2)",
        "seeds=[8]",
    ]
    config = config_of(project, text, overrides=[f"first.{item}" for item in overrides])
    assert config.seeds == (8,)
    assert list(config.rows) == ["v1.5@rate-0", "v1.5@rate-1", "v1@rate-0", "v1@rate-1"]
    shared = {"sizes": [1, 9], "model": {"name": "x", "deep": {"a": 2, "b": [3]}}}
    assert config.rows["v1.5@rate-1"] == {**shared, "size": 4, "rate": 1}
    assert config.rows["v1@rate-0"] == {**shared, "rate": 0}
    assert config.where("v1@rate-0", ["model", "deep", "a"]) == "-o first.model.deep.a=2"
    for override, message in [
        ("first.sizes.7=1", "sizes is a list of 2: write a number from 0 to 1."),
        ("first.presets.x.y=1", "'presets'"),
        ("first.a..b=1", "there is an empty name between two dots"),
    ]:
        if "presets" not in override:
            assert message in fault_of(project, text, overrides=[override])


def test_a_bomb_of_aliases_and_deep_nesting_are_refused_at_once(project: Path) -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
    assert "no anchors and aliases" in fault_of(project, bomb)
    assert "nested too deep" in fault_of(project, "a: " + "[" * 2000 + "]" * 2000)
    assert "Indent with spaces" in fault_of(project, "kind: fake\nrows:\n\ta: {}\n")
    assert "needs quotes" in fault_of(project, "kind: fake\nname: a: b\n")


def test_secrets_are_known_only_while_the_trial_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = FAKE_KIND.replace(
        "    exact: bool", '    token: str = Field(default="", description="A key.")\n    exact: bool'
    )
    kind = kind.replace('ctx.sample(text="a sample")', "ctx.sample(text=params.token)\n    print(params.token)")
    kind = kind.replace("    return {", "    if params.size == 5: raise ValueError(params.token)\n    return {")
    (project / "experiments" / "fake.py").write_text(kind)
    text = "kind: fake\ntoken: ${secret:PG_TOKEN}\nrows: {good: {}, bad: {size: 5}}\n"
    (project / "experiments" / "first.yaml").write_text(text)
    monkeypatch.delenv("PG_TOKEN", raising=False)
    missing = papergen("run-exp", cwd=project)
    assert missing.returncode == 2
    assert "PG_TOKEN: the experiments refer to this by ${secret:...}, and it is not set" in missing.stderr
    monkeypatch.setenv("PG_TOKEN", "hunter2-hunter2")
    done = papergen("run-exp", cwd=project)
    assert done.returncode == 1
    assert "FAILED first/bad seed 0: ValueError: ${secret:PG_TOKEN}" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    written = [path for path in (project / "results").rglob("*") if path.is_file()]
    assert not [path for path in written if b"hunter2" in path.read_bytes()]
    (log,) = (project / "results" / "first").glob("good*/rank0.log")
    assert log.read_text() == "${secret:PG_TOKEN}\n"
    monkeypatch.setenv("PG_TOKEN", "another one")
    again = papergen("run-exp", "--only", "good", cwd=project)
    assert "Nothing to run" in again.stderr


def test_the_fast_parser_reads_what_the_slow_one_reads() -> None:
    from papergen.core import strict_yaml as yaml_strict

    scalars = ["1e-3", "no", "'1'", '"2"', "0x10", "null", "true", "-.5", "2026-01-01", "plain text", "'it''s'"]
    text = "a:\n  - {b: [1, 2], c: ''}\n  -\n" + "".join(f"k{n}: {word}\n" for n, word in enumerate(scalars))
    long = text + "# " + "x" * yaml_strict.LONG_TEXT + "\n"
    lines: tuple[dict[object, int], dict[object, int]] = ({}, {})
    first, second = (yaml_strict.parse_yaml(one, "f", found) for one, found in zip((text, long), lines, strict=True))  # type: ignore[arg-type]
    assert yaml_strict._loader(long) is not yaml_strict._loader(text)
    assert repr(first) == repr(second)
    assert lines[0] == lines[1]


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
