"""Trials and digests: everything that decides a number is in, nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FAKE_KIND
from plans import plan

from papergen.core.errors import PapergenError
from papergen.experiment.plan import with_upstream
from papergen.experiment.registry import load_kinds


def test_every_row_and_seed_is_a_trial_in_rounds_of_one_seed_and_unseeded_rows_only_one(project: Path) -> None:
    assert [(trial.key, trial.seed) for trial in plan(project)] == [
        ("first/small", 0),
        ("first/large", 0),
        ("first/fixed", 0),
        ("first/small", 1),
        ("first/large", 1),
    ]


def test_planning_twice_gives_the_same_digests(project: Path) -> None:
    assert plan(project) == plan(project)


@pytest.mark.parametrize(
    ("edit", "is_changed"),
    [
        (("FACTOR = 2", "FACTOR = 3"), True),
        (("    return params.size * FACTOR", "    return 1 + params.size * FACTOR"), True),
        (('label="Score"', 'label="Points"'), False),
        (("    return None", "    return 17"), False),
    ],
)
def test_only_code_that_run_reaches_changes_the_digest(project: Path, edit: tuple[str, str], is_changed: bool) -> None:
    before = {trial.digest for trial in plan(project)}
    assert edit[0] in FAKE_KIND
    (project / "experiments" / "fake.py").write_text(FAKE_KIND.replace(*edit))
    after = {trial.digest for trial in plan(project)}
    assert (before.isdisjoint(after)) is is_changed
    assert (before == after) is not is_changed


def test_imported_project_module_counts_by_content(project: Path) -> None:
    (project / "experiments" / "fake.py").write_text(
        FAKE_KIND.replace("FACTOR = 2", "from constants.numbers import FACTOR")
    )
    with pytest.raises(PapergenError, match=r"fake\.py:\d+: loading this file raised ModuleNotFoundError"):
        plan(project)
    (project / "constants").mkdir()
    (project / "constants" / "numbers.py").write_text("FACTOR = 2\n")
    before = {trial.digest for trial in plan(project)}
    (project / "constants" / "numbers.py").write_text("FACTOR = 3\n")
    assert before.isdisjoint({trial.digest for trial in plan(project)})


def test_a_module_may_say_that_it_decides_no_numbers(project: Path) -> None:
    (project / "experiments" / "fake.py").write_text(
        FAKE_KIND.replace("def helper(params, seed):", "def helper(params, seed):\n    import words")
    )
    words = project / "words.py"
    words.write_text("DECIDES_NUMBERS = False\nTEXT = 'one'\n")
    before = {trial.digest for trial in plan(project)}
    words.write_text("DECIDES_NUMBERS = False\nTEXT = 'two'\n")
    assert before == {trial.digest for trial in plan(project)}
    words.write_text("TEXT = 'two'\n")
    assert before.isdisjoint({trial.digest for trial in plan(project)})


def test_a_function_may_say_that_it_only_words_what_was_run(project: Path) -> None:
    (project / "experiments" / "fake.py").write_text(
        FAKE_KIND.replace("def helper(params, seed):", "def helper(params, seed):\n    import rules")
    )
    source = (
        "from papergen.experiment.api import words_only\n\nclass Rule:\n    FACTOR = 2\n\n"
        "    @words_only\n    def phrase(self):\n        import languages\n\n        return 'one'\n\n"
        "    def factor(self):\n        return 2\n"
    )
    rules = project / "rules.py"
    rules.write_text(source)
    (project / "languages.py").write_text("TEXT = 'one'\n")
    before = {trial.digest for trial in plan(project)}
    rules.write_text(source.replace("'one'", "f'two'"))
    (project / "languages.py").write_text("TEXT = 'two'\n")
    assert before == {trial.digest for trial in plan(project)}
    rules.write_text(source.replace("return 2", "return 3"))
    assert before.isdisjoint({trial.digest for trial in plan(project)})


def test_the_words_of_a_phrase_make_nothing_stale_and_what_stands_beside_them_does(project: Path) -> None:
    (project / "experiments" / "fake.py").write_text(
        FAKE_KIND.replace("def helper(params, seed):", "def helper(params, seed):\n    import rules")
    )
    source = (
        "from papergen import Phrase\n\n"
        "RULES = {'速': (Phrase('Speed', '速度'), 3), 'b': (Phrase(\n    'Long '\n    'words',\n    '长词',\n), 4)}\n"
    )
    rules = project / "rules.py"
    rules.write_text(source, encoding="utf-8")
    before = {trial.digest for trial in plan(project)}
    rules.write_text(
        source.replace("Speed", "Pace").replace("速度", "快慢").replace("'words'", "'text'"), encoding="utf-8"
    )
    assert before == {trial.digest for trial in plan(project)}
    for changed in (source.replace("3)", "5)"), source.replace("'速':", "'快':"), source.replace(", 4)", ", 6)")):
        assert changed != source
        rules.write_text(changed, encoding="utf-8")
        assert before.isdisjoint({trial.digest for trial in plan(project)})
    rules.write_text(source.replace("from papergen import Phrase", "def Phrase(*texts): ..."), encoding="utf-8")
    own = {trial.digest for trial in plan(project)}
    rules.write_text(rules.read_text(encoding="utf-8").replace("Speed", "Pace"), encoding="utf-8")
    assert own.isdisjoint({trial.digest for trial in plan(project)})


def test_upstream_changes_pass_down_and_order_follows_need(project: Path) -> None:
    kind = FAKE_KIND.replace(
        "class Params(Base):", "from papergen.experiment.api import From\nclass Params(Base):\n    model: From | str"
    )
    (project / "experiments" / "second_kind.py").write_text(kind)
    second = project / "experiments" / "a_second.yaml"
    second.write_text("kind: second_kind\nmodel: {from: first, row: large}\n")
    trials = plan(project)
    last = trials[-1]
    assert last.experiment == "a_second"
    assert last.params["model"] == {"from": "first", "row": "large", "seed": 0}
    assert last.upstream == {"model": trials[1].digest}
    assert [t.label for t in with_upstream([last], trials)] == ["first/large seed 0", "a_second/main seed 0"]
    assert plan(project, overrides=["first.rows.large.size=6"])[-1].digest != last.digest
    assert plan(project, overrides=["first.rows.small.size=6"])[-1].digest == last.digest
    for text, message in [
        (
            "{from: frist}",
            "a_second.yaml:2: model comes from 'frist', which is no experiment of this project. Did you mean first?",
        ),
        ("{from: first, row: larg}", "first has no row 'larg'. Did you mean large?"),
        ("{from: first, seed: 9}", "first/small has no seed 9. It has 0, 1."),
        ("{from: a_second}", "in a circle: a_second -> a_second"),
    ]:
        second.write_text(f"kind: second_kind\nmodel: {text}\n")
        with pytest.raises(PapergenError) as caught:
            plan(project)
        assert message in str(caught.value)


def test_faulty_parameters_are_reported_together_with_lines(project: Path) -> None:
    (project / "experiments" / "first.yaml").write_text(
        "kind: fake\nrate: high\nrows:\n  a: {sise: 3}\n  b: {size: 0}\n  c: {size: 1.5}\n"
    )
    (project / "experiments" / "other.yaml").write_text("kind: fkae\n")
    with pytest.raises(PapergenError) as caught:
        plan(project)
    text = str(caught.value)
    assert "experiments/first.yaml:2: rate = 'high': input should be a valid number." in text
    assert "experiments/first.yaml:4: there is no parameter 'sise'. Did you mean size?" in text
    assert "experiments/first.yaml:5: size = 0: input should be greater than or equal to 1." in text
    assert "experiments/first.yaml:6: size = 1.5" in text
    assert "experiments/other.yaml:1: there is no experiment kind 'fkae'. Did you mean fake?" in text


def test_the_same_kind_twice_names_both_files(project: Path) -> None:
    (project / "experiments" / "training.py").write_text(FAKE_KIND)
    with pytest.raises(PapergenError, match="experiment kind of this name already"):
        load_kinds(project)
