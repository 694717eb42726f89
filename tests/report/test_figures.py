"""A figure is data with a digest; its picture is a vector PDF with the same bytes every time."""

import itertools
import math
import os
import random
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from papergen.core.errors import MachineError, PapergenError
from papergen.report.figures import style
from papergen.report.figures.figure import Figure, Note, Rule, Series
from papergen.report.figures.labels import Box, nearest_edge, place
from papergen.report.figures.rendering import cache_key, cached, prune, render

LOSS = Figure(
    name="loss",
    kind="band",
    series=[Series(label="train", x=[1, 2, 3], y=[3.0, 2.0, 1.5], low=[2.9, 1.9, 1.4], high=[3.1, 2.1, 1.6])],
    x_label="Step",
    y_label="Loss",
    rules=[Rule(value=2.5, label="uniform")],
    notes=[Note(text="here", x=2.0, y=2.0)],
)
SCATTER = Figure(
    name="quality-diversity",
    kind="scatter",
    series=[
        Series(label=name, names=[name], x=[x], y=[y], low=[y - 1], high=[y + 1], x_low=[x - 0.1], x_high=[x + 0.2])
        for name, x, y in (("greedy", 2.0, 4.0), ("beam", 2.1, 4.5), ("nucleus", 14.0, 90.0))
    ],
    x_label="Perplexity",
    y_label="Diversity (%)",
    x_scale="log",
)
BARS = Figure(
    name="bars",
    kind="bar",
    series=[
        Series(label="a", x=["greedy", "a very long name"], y=[1.0, 2.0], low=[0.9, 1.5], high=[1.1, 2.5]),
        Series(label="b", x=["greedy", "another long one"], y=[2.0, 1.0]),
    ],
    x_label="",
    y_label="Score",
)
HIST = Figure(
    name="hist", kind="hist", series=[Series(label="a", x=[1.0, 1.5, 2.0, 9.0])], x_label="Length", y_label="Count"
)
LINE = Figure(
    name="scaling",
    kind="line",
    series=[
        Series(label="DDP", x=[1, 2, 4], y=[10.0, 19.0, 35.0], low=[9.5, 18.0, 33.0], high=[10.5, 20.0, 37.0]),
        Series(label="ideal", x=[1, 2, 4], y=[10.0, 20.0, 40.0], is_reference=True),
    ],
    x_label="Processes",
    y_label="Tokens/s",
    x_scale="log",
    y_scale="log",
    x_ticks=[1, 2, 4],
)
ALL = [LOSS, SCATTER, BARS, HIST, LINE]


def streams(pdf: bytes) -> bytes:
    found = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL)
    return b"".join(zlib.decompressobj().decompress(part) for part in found if part[:1] == b"x")


@pytest.mark.parametrize("figure", ALL, ids=lambda figure: figure.kind)
def test_every_kind_is_a_vector_pdf_of_the_asked_width_with_type_42_fonts(figure: Figure, tmp_path: Path) -> None:
    pdf = render(figure, 3.3, tmp_path)
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", pdf)
    assert box is not None
    assert float(box[1]) == pytest.approx(3.3 * 72, abs=0.01)
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf
    assert b"/Subtype /Image" not in pdf


def test_the_same_data_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    first = render(SCATTER, 3.3, tmp_path / "a")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_figures as t;"
        "from papergen.report.figures.rendering import render; render(t.SCATTER, 3.3, Path(sys.argv[2]))"
    )
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
        assert next((tmp_path / seed).glob("*.pdf")).read_bytes() == first


def test_an_unchanged_figure_does_not_import_matplotlib(tmp_path: Path) -> None:
    pdf = render(LOSS, 3.3, tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_figures as t;"
        "from papergen.report.figures.rendering import render; data = render(t.LOSS, 3.3, Path(sys.argv[2]));"
        "print('matplotlib' in sys.modules, len(data))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["False", str(len(pdf))]


def test_the_cache_follows_the_data_and_keeps_the_pictures_of_one_build(tmp_path: Path) -> None:
    changed = replace(LOSS, series=[replace(LOSS.series[0], y=[3.0, 2.0, 1.4])])
    assert cache_key(changed, 3.3) != cache_key(LOSS, 3.3) != cache_key(LOSS, 3.5)
    for figure in (LOSS, HIST, changed):
        render(figure, 3.3, tmp_path)
    (tmp_path / "a note.txt").write_text("not a picture", encoding="utf-8")
    prune([(changed, 3.3), (HIST, 3.3)], tmp_path)
    assert cached(LOSS, 3.3, tmp_path) is None
    assert cached(changed, 3.3, tmp_path)
    assert cached(HIST, 3.3, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"no PDF", b"%PDF-1.4 cut off"])
def test_a_damaged_picture_of_the_cache_is_drawn_again(tmp_path: Path, damage: bytes) -> None:
    drawn = render(LOSS, 3.3, tmp_path)
    (path,) = tmp_path.glob("*.pdf")
    path.write_bytes(damage)
    assert cached(LOSS, 3.3, tmp_path) is None
    assert render(LOSS, 3.3, tmp_path) == path.read_bytes() == drawn


def test_figures_of_one_name_stay_in_the_cache_together(tmp_path: Path) -> None:
    other = replace(LOSS, series=[replace(LOSS.series[0], y=[3.0, 2.0, 1.4])])
    for _ in range(2):
        for figure in (LOSS, other):
            render(figure, 3.3, tmp_path)
        prune([(LOSS, 3.3), (other, 3.3)], tmp_path)
        assert cached(LOSS, 3.3, tmp_path)
        assert cached(other, 3.3, tmp_path)


def test_numbers_at_ticks_are_text_and_powers_of_ten_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing formulas takes a third of the drawing, and every number was one."""
    from matplotlib.mathtext import MathTextParser

    real, parsed = MathTextParser.parse, []
    monkeypatch.setattr(
        MathTextParser, "parse", lambda self, s, *more, **rest: (parsed.append(s), real(self, s, *more, **rest))[1]
    )
    series = Series(label="a", x=[-2.0, 0.0, 2.0], y=[-1.5, 0.25, 1.0])
    plain = Figure(name="plain", kind="line", series=[series], x_label="Shift", y_label="Score")
    assert "\u22122" in shown_in(render(plain, 3.3, tmp_path), tmp_path)
    assert parsed == []
    large = replace(plain, name="large", series=[replace(series, y=[0.0, 2e8, 4e8])])
    assert "108" in shown_in(render(large, 3.3, tmp_path), tmp_path)
    assert set(parsed) == {"$\\times\\mathdefault{10^{8}}\\mathdefault{}$"}


def test_steps_and_counts_have_whole_numbers_at_their_ticks(tmp_path: Path) -> None:
    steps = Series(label="a", x=[10.0, 20.0, 30.0], y=[3.0, 2.0, 1.0])
    curve = Figure(name="curve", kind="line", series=[steps], x_label="Steps", y_label="Loss")
    assert "12.5" not in shown_in(render(curve, 3.3, tmp_path), tmp_path)
    counts = Figure(name="counts", kind="hist", series=[Series(label="a", x=[0.0] * 16)], x_label="x", y_label="Count")
    assert "2.5" not in shown_in(render(counts, 3.3, tmp_path), tmp_path)


def test_a_curve_of_one_point_shows_it() -> None:
    """A line through one point draws nothing: a short training left an empty frame."""
    from matplotlib.figure import Figure as Picture

    from papergen.report.figures.draw import _draw_kind

    one = Series(label="a", x=[3.0], y=[2.0])
    curve = Figure(name="curve", kind="band", series=[one], x_label="Steps", y_label="Loss")
    axes = Picture().add_subplot()
    _draw_kind(curve, axes)
    assert [line.get_marker() for line in axes.lines] == ["o"]
    _draw_kind(replace(curve, series=[replace(one, low=[1.0], high=[3.0])]), axes)
    assert len(axes.containers) == 1  # the interval


def shown_in(pdf: bytes, folder: Path) -> str:
    """What a reader can copy out of a picture, without spaces."""
    (folder / "shown.pdf").write_bytes(pdf)
    done = subprocess.run(["pdftotext", str(folder / "shown.pdf"), "-"], capture_output=True, check=True)
    return "".join(done.stdout.decode("utf-8").split())


def test_who_made_the_data_does_not_change_the_picture() -> None:
    named = replace(LOSS, series=[replace(LOSS.series[0], digests=("abc", "abc", "def"))])
    assert named.digest == LOSS.digest
    assert named.digests == ("abc", "def")


def test_a_large_cloud_is_stored_as_a_picture(tmp_path: Path) -> None:
    draws = random.Random(0)
    x, y = ([draws.gauss(0, 1) for _ in range(2500)] for _ in range(2))
    cloud = replace(SCATTER, x_scale="linear", series=[Series(label="samples", x=x, y=y)])
    pdf = render(cloud, 3.3, tmp_path)
    assert b"/Subtype /Image" in pdf
    assert len(pdf) < 150_000


def test_the_users_matplotlibrc_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    plain = render(LINE, 3.3, tmp_path / "a")
    monkeypatch.setitem(mpl.rcParams, "lines.linewidth", 9.0)
    assert render(LINE, 3.3, tmp_path / "b") == plain
    assert mpl.rcParams["lines.linewidth"] == 9.0


def test_a_missing_glyph_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"figure loss: no font has the character U\+10920"):
        render(replace(LOSS, x_label="Step \U00010920"), 3.3, tmp_path)
    with pytest.raises(MachineError, match="the font 'No Such Font' is not installed"):
        render(replace(LOSS, font="No Such Font"), 3.3, tmp_path)
    assert not list(tmp_path.glob("*.pdf"))


def test_a_wrong_formula_is_an_error_that_names_the_figure(tmp_path: Path) -> None:
    with pytest.raises(PapergenError, match="figure loss: a formula in a label is wrong"):
        render(replace(LOSS, x_label=r"$\frac{1$"), 3.3, tmp_path)


def test_chinese_labels_where_a_font_has_them(tmp_path: Path) -> None:
    from papergen.report.figures.cjk import cjk_fonts

    if not any("otf" not in path for path in cjk_fonts()):
        pytest.skip("no Chinese TrueType font is installed")
    made = render(replace(LOSS, x_label="训练步数", y_label="损失"), 3.3, tmp_path)
    assert b"/FontFile2" in made
    assert b"/Type3" not in made


def test_without_a_chinese_font_the_message_names_what_was_looked_for_and_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from papergen.report.figures import cjk

    monkeypatch.setattr(cjk, "cjk_fonts", lambda: ())
    with pytest.raises(PapergenError, match=r"no font has the character U\+8BAD") as caught:
        render(replace(LOSS, x_label="训练步数"), 3.3, tmp_path)
    assert "apt-get install" in (caught.value.hint or "")
    assert "FandolSong-Regular.otf" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y": [1.0, float("nan"), 2.0]}, "y holds nan"),
        ({"y": [1.0, 2.0]}, "y has 2 numbers for 3 points"),
        ({"x": ["a", "b", "c"]}, "x holds the text 'a'; only bars have names there"),
        ({"x": []}, "it has no points"),
        ({"names": ["a"]}, "1 names for 3 points"),
    ],
)
def test_data_that_cannot_be_drawn_is_refused_when_the_figure_is_made(changes: dict[str, object], words: str) -> None:
    with pytest.raises(PapergenError, match=re.escape(words)):
        replace(LOSS, series=[replace(LOSS.series[0], **changes)])  # type: ignore[arg-type]


def test_zero_cannot_stand_on_a_logarithmic_axis() -> None:
    with pytest.raises(PapergenError, match="x = 0 cannot stand on a logarithmic axis"):
        replace(LOSS, x_scale="log", series=[replace(LOSS.series[0], x=[0, 1, 2])])
    with pytest.raises(PapergenError, match="it has no series"):
        replace(LOSS, series=[])


def test_labels_of_a_crowd_neither_collide_nor_leave_the_frame() -> None:
    draws = random.Random(3)
    frame = Box(0, 0, 220, 150)
    points = [(draws.uniform(20, 200), draws.uniform(20, 130)) for _ in range(14)]
    boxes = place(points, [(30.0, 8.0)] * 14, frame, gap=4.0)
    for index, box in enumerate(boxes):
        assert box.overlap(frame) == pytest.approx(box.area)
        assert all(box.overlap(other) == 0 for other in boxes[index + 1 :])
        assert all(box.overlap(Box(x - 1, y - 1, 2, 2)) == 0 for x, y in points)
    assert boxes == place(points, [(30.0, 8.0)] * 14, frame, gap=4.0)
    assert nearest_edge(Box(10, 10, 5, 5), (0, 12)) == (10, 12)


def test_a_label_stays_nearer_to_its_own_point_than_to_another() -> None:
    points = [(100.0, 100.0), (112.0, 102.0), (160.0, 104.0)]
    boxes = place(points, [(30.0, 8.0)] * 3, Box(0, 0, 220, 150), gap=4.0)
    for own, box in zip(points, boxes, strict=True):
        reach = {point: math.dist(nearest_edge(box, point), point) for point in points}
        assert min(reach, key=reach.__getitem__) == own


def test_neighbouring_series_differ_in_colour_marker_and_line() -> None:
    looks = [style.look_of(LOSS.series[0], index) for index in range(6)]
    for one, other in itertools.pairwise(looks):
        assert all(one[name] != other[name] for name in ("color", "marker", "linestyle"))
    reference = style.look_of(replace(LOSS.series[0], is_reference=True), 3)
    assert reference["color"] == style.GREY
    assert reference["color"] not in style.OKABE_ITO
