"""What a paper said when it was built: its numbers, claims, tables and sources, kept beside the PDF by their digest.

The digest covers everything behind the PDF (every file of its tree and every trial of its plan) and stands in the
PDF's metadata, so that a PDF can be asked later which numbers it holds and what they came from.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from papergen.core.errors import PapergenError
from papergen.core.files import digest_bytes, digest_json, write_json
from papergen.core.scratch import scratch_folder
from papergen.latex.macros import RESULTS_FILE
from papergen.latex.problems import Place
from papergen.latex.sources import Use, sentence_at
from papergen.latex.tree import SourceTree
from papergen.paper.assemble import Assembly
from papergen.report import formats
from papergen.report.claims import claim as claims
from papergen.report.values import Value

SCHEMA = 1
MAX_KEPT = 20
"""Snapshots that a project keeps; the oldest go."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """One key of the paper: what it was, and what stood on the page."""

    key: str
    mean: float | None
    """None for a text, such as the name of the best row."""
    low: float | None
    high: float | None
    n: int
    printed: Mapping[str, str]
    """Format -> characters on the page."""
    tex: Mapping[str, str]
    """Format -> TeX."""
    digests: tuple[str, ...]
    """The trials behind it."""


@dataclass(frozen=True, kw_only=True)
class Mention:
    r"""A place where a number or a claim stands: the author's, and the one in the tree that TeX read."""

    key: str
    option: str
    file: str
    line: int
    tree_file: str
    tree_line: int
    sentence: str
    """TeX source of the sentence around it, on one line."""


@dataclass(frozen=True, kw_only=True)
class ClaimSeen:
    """A claim and what the results said about it; `holds` is None when they could not tell."""

    claim: str
    sentence: str
    file: str
    line: int
    holds: bool | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A version of a paper."""

    digest: str
    numbers: Mapping[str, Number]
    mentions: tuple[Mention, ...]
    claims: tuple[ClaimSeen, ...]
    trials: Mapping[str, Mapping[str, Any]]
    """Digest -> `experiment`, `row`, `seed`, `label`, `parts` of every finished trial of the plan."""
    tables: Mapping[str, str]
    figures: Mapping[str, str]
    """File name -> digest of its data."""
    claimed: Mapping[str, str]
    r"""Name of a claim of paper.yaml -> the TeX that `\claimed{name}` prints."""
    main: str
    engine: str

    @property
    def values(self) -> dict[str, Mapping[str, str]]:
        r"""Key -> format -> TeX of every `\result`, and of every `\claimed`."""
        return {
            **{key: number.tex for key, number in self.numbers.items()},
            **{f"claim {name}": {"text": text} for name, text in self.claimed.items()},
        }

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        known = {
            **data,
            "numbers": {
                key: Number(**{**number, "digests": tuple(number["digests"])})
                for key, number in data["numbers"].items()
            },
            "mentions": tuple(Mention(**mention) for mention in data["mentions"]),
            "claims": tuple(ClaimSeen(**{**seen, "evidence": tuple(seen["evidence"])}) for seen in data["claims"]),
        }
        known.pop("schema")
        return cls(**known)


def paper_digest(assembly: Assembly, files: Mapping[str, bytes]) -> str:
    """SHA-256 over every file of the tree (`files` are the drawn figures) and every finished trial of the plan."""
    contents = {**assembly.sources.contents, **files}
    return digest_json(
        {
            "files": {name: digest_bytes(content) for name, content in contents.items()},
            "trials": sorted(assembly.results.results),
        }
    )


def take(assembly: Assembly, digest: str, engine: str) -> Snapshot:
    """The snapshot of an assembled paper. Keys without a number are left out."""
    tree = assembly.tree
    mentions = tuple(_mention(tree, use) for use in tree.uses("result"))
    return Snapshot(
        digest=digest,
        numbers=_numbers(assembly, mentions),
        mentions=mentions,
        claims=tuple(claims_of(assembly)),
        trials={
            digest: {
                "experiment": result.trial.experiment,
                "row": result.trial.row,
                "seed": result.trial.seed,
                "label": result.trial.label,
                "parts": dict(result.trial.parts),
            }
            for digest, result in assembly.results.results.items()
        },
        tables={
            name: content.decode("utf-8")
            for name, content in assembly.generated.files.items()
            if name.startswith("tables/")
        },
        figures={name: figure.digest for name, (figure, _) in assembly.generated.figures.items()},
        claimed={name: claim.text for name, claim in assembly.project.paper.claims.items() if claim.text},
        main=assembly.sources.main,
        engine=engine,
    )


def _numbers(assembly: Assembly, mentions: tuple[Mention, ...]) -> dict[str, Number]:
    wanted: dict[str, dict[str, None]] = {}
    for mention in mentions:
        wanted.setdefault(mention.key, {})[mention.option] = None
    found: dict[str, Number] = {}
    for key, options in wanted.items():
        try:
            value = claims.evaluate(assembly.results, key)
            printed = {option: formats.plain(value, option) for option in options}
            tex = {option: str(formats.tex(value, option)) for option in options}
        except PapergenError:
            continue
        found[key] = Number(
            key=key,
            mean=value.mean if isinstance(value, Value) else None,
            low=value.low if isinstance(value, Value) else None,
            high=value.high if isinstance(value, Value) else None,
            n=value.n if isinstance(value, Value) else 1,
            printed=printed,
            tex=tex,
            digests=value.digests,
        )
    return found


def claims_of(assembly: Assembly) -> Iterator[ClaimSeen]:
    """Every claim of a paper, whether or not it holds."""
    for stated in assembly.claims:
        problem = stated.problem
        yield ClaimSeen(
            claim=re.sub(r"\s+", " ", stated.assertion),
            sentence=re.sub(r"\s+", " ", stated.words),
            file=stated.place.file,
            line=stated.place.line,
            holds=None if stated.verdict is None else stated.holds,
            evidence=(problem.message,) if stated.verdict is None else stated.verdict.evidence,
        )


def _mention(tree: SourceTree, use: Use) -> Mention:
    origin = tree.line_map.origin(Place(use.file, use.line, use.column))
    text = tree.text(use.file)
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    return Mention(
        key=use.argument,
        option=use.option,
        file=origin.file,
        line=origin.line,
        tree_file=use.file,
        tree_line=use.line,
        sentence=sentence_at(text, starts[use.line - 1] + use.column - 1),
    )


# -- kept beside the PDF -----------------------------------------------------------------------------------------------


def folder_of(project: Path) -> Path:
    """Where a project keeps its snapshots."""
    return project / "build" / ".snapshots"


def keep(project: Path, snapshot: Snapshot, tree: Path) -> Path:
    """Keep a snapshot with a copy of its tree, whole or not at all; the oldest go when there are too many."""
    target = folder_of(project) / snapshot.digest[:16]
    if target.is_dir():
        return target
    with scratch_folder("snapshot", target.parent) as scratch:
        staging = scratch / "whole"
        shutil.copytree(tree, staging / "tree")
        write_json(staging / "snapshot.json", snapshot.to_json())
        staging.rename(target)
    for old in kept(project)[MAX_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def kept(project: Path) -> list[Path]:
    """The folders of all snapshots, newest first."""
    folder = folder_of(project)
    found = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    return sorted(found, key=lambda path: -path.stat().st_mtime_ns)


def read(folder: Path) -> Snapshot:
    """The snapshot in a folder that `keep` made."""
    try:
        data = json.loads((folder / "snapshot.json").read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise PapergenError(f"{folder}: a snapshot of another version of papergen.", hint="Build the paper again.")
        return Snapshot.from_json(data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PapergenError(f"{folder}: this snapshot is damaged ({error}).", hint="Remove that folder.") from error


def results_with_digest(content: bytes, digest: str) -> bytes:
    r"""`papergen-results.tex` with the lines that write the digest into the PDF's metadata."""
    lines = (
        f"\\ifdefined\\pdfinfo\\pdfinfo{{/PapergenDigest ({digest})}}\\else\\ifdefined\\AddToHook\n"
        f"  \\AddToHook{{shipout/firstpage}}{{\\special{{pdf:docinfo <</PapergenDigest ({digest})>>}}}}\\fi\\fi\n"
    )
    head, end, tail = content.decode("utf-8").rpartition("\\endinput")
    assert end, f"{RESULTS_FILE} ends with \\endinput"
    return f"{head}{lines}{end}{tail}".encode()
