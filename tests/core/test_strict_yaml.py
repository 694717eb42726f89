"""The author's YAML: what is allowed, and the message that each fault gets."""

from __future__ import annotations

import pytest

from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import parse_yaml


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
