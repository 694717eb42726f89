"""paper.yaml: what the paper is called, who wrote it, and how it looks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from papergen.config.checking import checked
from papergen.config.declared import NAME, FigureSpec, TableSpec
from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import read_yaml

Name = Annotated[str, Field(pattern=NAME)]


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
