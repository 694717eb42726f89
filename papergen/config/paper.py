"""paper.yaml: what the paper is called, who wrote it, how it looks, and the tables and figures that it declares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from papergen.config.checking import checked
from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import read_yaml

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
"""Of a table or a figure: a file and a label are called so."""


class Author(BaseModel):
    """One author of the paper."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(description="Name as it is printed.")
    affiliation: str = Field(default="", description="Institution.")
    email: str = Field(default="", description="E-mail address.")
    country: str = Field(default="", description="Country, which acmart asks for.")


class Claim(BaseModel):
    """An assertion over the results, and the words for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    assertion: str = Field(alias="assert", description="What must hold, in the language of claims.")
    text: str = Field(default="", description=r"LaTeX that \claimed{NAME} prints.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        """A claim without words may be written as its assertion alone."""
        return {"assert": data} if isinstance(data, str) else data


class TableSpec(BaseModel):
    """One table: rows of an experiment down, metrics across."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str = Field(alias="from", description="Experiment whose rows it shows.")
    columns: list[str] = Field(description="Metrics, in order.", min_length=1)
    rows: list[str] | None = Field(default=None, description="Rows, in order; all when absent.")
    slice: str = Field(default="", description='Rows and columns as numpy would take them: "[1:, 0::2]".')
    labels: dict[str, str] = Field(default={}, description="Row -> what is printed for it.")
    headings: dict[str, str] = Field(default={}, description="Metric -> what is printed for it.")
    groups: dict[str, str] = Field(default={}, description="Metric -> heading above it and its neighbours.")
    row_groups: dict[str, str] = Field(default={}, description="Row -> heading above it and its neighbours.")
    corner: str = Field(default="", description="Heading of the labels.")
    show: Literal["pm", "mean"] = Field(default="pm", description="With half-widths of the intervals, or means alone.")
    decimals: dict[str, int] = Field(default={}, description="Metric -> decimals, in place of those that are earned.")
    percent: list[str] = Field(default=[], description="Metrics that are shares, printed in per cent.")
    n: bool = Field(default=False, description="Whether a column tells how many prompts or seeds are behind a row.")
    bold: bool = Field(default=True, description="Whether the best of a column is bold and the second underlined.")
    against: str | None = Field(default=None, description="Row from which significant differences are marked (Holm).")
    level: float = Field(default=0.05, gt=0, lt=1, description="Level of those tests.")
    references: list[str] = Field(default=[], description="Rows that are yardsticks: set apart, never best.")
    varies: list[Literal["data", "dtype", "hardware"]] = Field(default=[], description="What rows may differ in.")
    caption: str = Field(default="", description="LaTeX; with a caption the table is a whole float, label tab:NAME.")
    place: str = Field(default="t", pattern="^[htbpH!]+$", description="Where the float may stand.")
    max_rows: int = Field(default=40, ge=2, description="Rows after which the table goes on in another one.")


class FigureSpec(BaseModel):
    """One figure: a metric, two metrics or a logged series of an experiment's rows, or a function that makes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str = Field(default="", alias="from", description="Experiment whose rows it shows.")
    function: str = Field(default="", description="FILE.py:NAME, called with the results; it returns a Figure.")
    kind: Literal["line", "band", "bar", "scatter", "hist"] = Field(default="bar", description="What is drawn.")
    x: str = Field(default="", description="Metric across (scatter).")
    y: str = Field(default="", description="Metric (bar, scatter, hist) or logged series (line, band).")
    rows: list[str] | None = Field(default=None, description="Rows, in order; all when absent.")
    labels: dict[str, str] = Field(default={}, description="Row -> what is printed for it.")
    x_label: str = Field(default="", description="What the axis across says.")
    y_label: str = Field(default="", description="What the axis upwards says.")
    x_scale: Literal["linear", "log"] = Field(default="linear", description="Axis across.")
    y_scale: Literal["linear", "log"] = Field(default="linear", description="Axis upwards.")
    width: Literal["column", "full"] = Field(default="column", description="One column or the whole text.")
    aspect: float = Field(default=0.66, gt=0.1, le=3, description="Height over width.")
    references: list[str] = Field(default=[], description="Rows that are yardsticks: grey and dashed.")

    @model_validator(mode="after")
    def _is_whole(self) -> FigureSpec:
        if bool(self.source) == bool(self.function):
            raise ValueError("write either from: EXPERIMENT or function: FILE.py:NAME.")
        if self.source and not self.y:
            raise ValueError("y: is missing: the metric or the logged series that is drawn.")
        if self.source and self.kind == "scatter" and not self.x:
            raise ValueError("x: is missing: a scatter plot sets one metric against another.")
        return self


class Paper(BaseModel):
    """paper.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    title: str = Field(description="Title of the paper.")
    authors: list[Author] = Field(description="Authors, in order.", min_length=1)
    template: str = Field(default="twocolumn", description="Template whose column width, engine and packages apply.")
    language: Literal["en", "zh"] = Field(default="en", description="Language of the paper: en or zh.")
    mode: Literal["review", "preprint", "camera-ready"] = Field(
        default="preprint",
        description="Who the paper is for: review (anonymous where the venue is), or with its names.",
    )
    keywords: list[str] = Field(default=[], description="Keywords, printed where the template has them.")
    engine: Literal["auto", "pdflatex", "xelatex"] = Field(
        default="auto", description="TeX engine; auto takes the template's, and xelatex for Chinese in an English text."
    )
    bibliography: Literal["bibtex", "biber"] = Field(default="bibtex", description="Program for the bibliography.")
    page_limit: int | None = Field(default=None, ge=1, description="Most pages, in place of the venue's own limit.")
    provenance: Literal["off", "links"] = Field(
        default="off",
        description="links: each number links to its run in the appendix's table; never in review mode.",
    )
    date: str = Field(default="", description="Date printed under the authors; none when empty.")
    claims: dict[str, Claim] = Field(default={}, description="Name -> what the results must support.")
    correction: Literal["claim", "paper"] = Field(
        default="claim",
        description="Over which tests Holm's correction goes: those of one claim, or those of all claims of the paper.",
    )
    tables: dict[Name, TableSpec] = Field(default={}, description="Name -> a table of results: tables/NAME.tex.")
    figures: dict[Name, FigureSpec] = Field(default={}, description="Name -> a figure: figures/NAME.pdf.")
    allow: dict[str, str] = Field(
        default_factory=dict,
        description="Checks of `papergen check` whose findings stand as they are -> the reason.",
    )
    main: str = Field(default="main.tex", description="Root file of the paper (main.tex or main.tex.j2 must exist).")

    @property
    def has_links(self) -> bool:
        """Whether numbers link to their runs."""
        return self.provenance == "links" and self.mode != "review"


def read_paper(project: Path) -> Paper:
    """paper.yaml of a project folder."""
    document = read_yaml(project / "paper.yaml", "paper.yaml")
    return checked(Paper, document.data, document.where)


def find_project(start: Path) -> Path:
    """The folder at or above `start` that holds a paper.yaml."""
    for folder in (start, *start.parents):
        if (folder / "paper.yaml").is_file():
            return folder
    raise PapergenError(
        f"{start}: not inside a paper project (no paper.yaml here or above).",
        hint="Make one with `papergen new my-paper`, then `cd my-paper`.",
    )
