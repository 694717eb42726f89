"""An author's own classes: what cannot be learnt or told is refused before anything is trained, and parts are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import taskslab as lab
from pydantic import ValidationError

from papergen.core.errors import PapergenError
from papergen.ml.tasks.settings import TaskSettings
from papergen.ml.tasks.task_trial import examples_of


def written(folder: Path, train: Sequence[str], test: Sequence[str], **changes: object) -> TaskSettings:
    for name, labels in (("训练 1.csv", train), ("测试 1.csv", test)):
        rows = [f"第{number}个词,{label}" for number, label in enumerate(labels)]
        (folder / name).write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    given = {"train_file": "训练 1.csv", "test_file": "测试 1.csv", **changes}
    return lab.settings_of("sequence_classification", **given)


def run(settings: TaskSettings, folder: Path) -> object:
    return lab.run_alone(settings, folder, tell=lambda *_: pytest.fail("a step was made"))


def test_a_label_of_the_test_file_alone_is_told_before_any_step(tmp_path: Path) -> None:
    settings = written(tmp_path, ["正", "负"] * 4, ["正", "未知", "未知"])
    with pytest.raises(PapergenError) as caught:
        run(settings, tmp_path)
    assert "2 test examples have a label that none of the 8 training examples has: 未知." in str(caught.value)
    assert "Labels of training: 正, 负." in str(caught.value)


def test_one_class_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(PapergenError, match="all 8 training examples are '正'"):
        run(written(tmp_path, ["正"] * 8, ["正"] * 2), tmp_path)


def test_a_part_of_a_test_file_in_the_order_of_its_classes_holds_all_classes(tmp_path: Path) -> None:
    settings = written(tmp_path, ["a", "b"] * 4, ["a"] * 50 + ["b"] * 50, max_test_examples=20)
    _, test = examples_of(settings, tmp_path)
    labels = [example.label for example in test]  # type: ignore[union-attr]
    assert len(labels) == 20
    assert 5 <= labels.count("b") <= 15
    assert labels == sorted(labels)  # in the order of the file
    assert examples_of(settings, tmp_path)[1] == test


def test_a_column_for_a_field_that_the_task_lacks_is_told_before_anything_runs() -> None:
    with pytest.raises(ValidationError, match=r"sequence_classification has no field 'txt'. Did you mean text"):
        lab.settings_of("sequence_classification", train_file="a.csv", test_file="b.csv", columns={"txt": "x"})


def test_what_is_trained_on_is_not_what_is_tested_on() -> None:
    with pytest.raises(ValidationError, match="is what is trained on"):
        lab.settings_of("masked_lm", train_file="a.csv", test_file="a.csv")
