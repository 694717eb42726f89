"""What two versions of a paper differ in: numbers and why, the sentences around them, claims, tables and figures."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from papergen.core.widths import ljust, width_of
from papergen.experiment.states import differences
from papergen.paper.share.plain import with_numbers
from papergen.paper.snapshots import ClaimSeen, Number, Snapshot

CAUSES = {
    "kind": "config",
    "params": "config",
    "seed": "seed",
    "libraries": "library",
    "code": "code",
    "data": "data",
    "upstream": "upstream",
}
"""Part of a trial -> the word for a change of it."""
MAX_NAMES = 3


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A key whose number is not what it was; one side is None where the key stood in one version only."""

    key: str
    old: float | None
    new: float | None
    printed_old: str
    printed_new: str
    is_visible: bool
    """Whether another text stands on the page."""
    why: tuple[str, ...]
    """`code: ...`, `config: ...`, `data: ...`, `seed: ...`, `library: ...`, `upstream: ...` and so on."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A sentence of the new version in which a printed number changed; both as they read."""

    file: str
    line: int
    old: str
    new: str
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ClaimChanged:
    """A claim that held and does not hold any more, or the other way round; None where nothing could be said."""

    claim: str
    sentence: str
    file: str
    line: int
    held: bool | None
    holds: bool | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A table or figure that changed, was added or removed; `rows` are the lines of a table, old and new."""

    name: str
    change: str
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What changed between two versions."""

    numbers: tuple[Changed, ...]
    sentences: tuple[Sentence, ...]
    claims: tuple[ClaimChanged, ...]
    tables: tuple[Piece, ...]
    figures: tuple[Piece, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed that a reader or a run would tell."""
        return not (self.numbers or self.claims or self.tables or self.figures)


def compare(old: Snapshot, new: Snapshot) -> Differences:
    """What changed from one version to the other."""
    numbers = tuple(_numbers(old, new))
    visible = {changed.key for changed in numbers if changed.is_visible}
    return Differences(
        numbers=numbers,
        sentences=tuple(_sentences(old, new, visible)),
        claims=tuple(_claims(old, new)),
        tables=tuple(_pieces(old.tables, new.tables)),
        figures=tuple(_pieces(old.figures, new.figures, with_rows=False)),
    )


def _numbers(old: Snapshot, new: Snapshot) -> Iterator[Changed]:
    for key in dict.fromkeys([*new.numbers, *old.numbers]):
        before, after = old.numbers.get(key), new.numbers.get(key)
        if before is None or after is None:
            yield Changed(
                key=key,
                old=before.mean if before else None,
                new=after.mean if after else None,
                printed_old=_printed(before) if before else "",
                printed_new=_printed(after) if after else "",
                is_visible=True,
                why=("text: the number was added",) if before is None else ("text: the number was removed",),
            )
            continue
        shared = [option for option in after.printed if option in before.printed]
        option = next((name for name in shared if before.printed[name] != after.printed[name]), None)
        if option is None and (before.mean, before.low, before.high) == (after.mean, after.low, after.high):
            continue
        shown = option if option is not None else shared[0] if shared else None
        yield Changed(
            key=key,
            old=before.mean,
            new=after.mean,
            printed_old=before.printed[shown] if shown is not None else _printed(before),
            printed_new=after.printed[shown] if shown is not None else _printed(after),
            is_visible=option is not None,
            why=tuple(_why(before, after, old, new)),
        )


def _printed(number: Number) -> str:
    return next(iter(number.printed.values()), "")


def _why(before: Number, after: Number, old: Snapshot, new: Snapshot) -> Iterator[str]:
    """Why a number changed, from the trials behind it."""
    olds = {_place(old.trials[digest]): digest for digest in before.digests if digest in old.trials}
    news = {_place(new.trials[digest]): digest for digest in after.digests if digest in new.trials}
    rows = [list(dict.fromkeys(f"{place[0]}/{place[1]}" for place in places)) for places in (olds, news)]
    if rows[0] != rows[1]:
        yield f"row: {', '.join(rows[0])} -> {', '.join(rows[1])}"
    seeds = [sorted({place[2] for place in places}) for places in (olds, news)]
    if seeds[0] != seeds[1] and rows[0] == rows[1]:
        yield f"seed: {', '.join(map(str, seeds[0]))} -> {', '.join(map(str, seeds[1]))}"
    reasons = [
        reason
        for place in olds
        if place in news and olds[place] != news[place]
        for reason in _reasons(olds[place], news[place], old, new)
    ]
    yield from dict.fromkeys(reasons)
    if rows[0] == rows[1] and seeds[0] == seeds[1] and not reasons:
        yield (
            "run: the same trials were run again and gave other numbers"
            if before.mean != after.mean
            else "rounding: the same number is written otherwise"
        )


def _place(trial: Mapping[str, Any]) -> tuple[str, str, int]:
    return trial["experiment"], trial["row"], trial["seed"]


def _reasons(before: str, after: str, old: Snapshot, new: Snapshot) -> list[str]:
    """What differs between two trials, a change of an upstream trial with its own reasons."""
    parts, others = old.trials[before]["parts"], new.trials[after]["parts"]
    found: list[str] = []
    for part, cause in CAUSES.items():
        changes = differences(
            {part: parts[part]} if part in parts else {}, {part: others[part]} if part in others else {}
        )
        if part != "upstream":
            found += [f"{cause}: {text}" for text in _few([text.removeprefix(f"{part}: ") for text in changes])]
            continue
        ours, theirs = parts.get("upstream", {}), others.get("upstream", {})
        for name in sorted({*ours, *theirs}):
            if ours.get(name) == theirs.get(name):
                continue
            known = ours.get(name) in old.trials and theirs.get(name) in new.trials
            inner = _reasons(ours[name], theirs[name], old, new) if known else []
            source = new.trials[theirs[name]]["label"] if theirs.get(name) in new.trials else name
            found.append(f"upstream: {source}" + (f" ({'; '.join(inner)})" if inner else " changed"))
    return found


def _few(texts: list[str]) -> list[str]:
    if len(texts) <= MAX_NAMES:
        return texts
    return [*texts[:MAX_NAMES], f"and {len(texts) - MAX_NAMES} more"]


def _sentences(old: Snapshot, new: Snapshot, keys: set[str]) -> Iterator[Sentence]:
    olds, news = old.values, new.values
    seen = set()
    for mention in new.mentions:
        if mention.key not in keys or (mention.file, mention.sentence) in seen:
            continue
        seen.add((mention.file, mention.sentence))
        within = [
            other.key
            for other in new.mentions
            if (other.file, other.sentence) == (mention.file, mention.sentence) and other.key in keys
        ]
        before, after = (readable(with_numbers(mention.sentence, values)) for values in (olds, news))
        yield Sentence(file=mention.file, line=mention.line, old=before, new=after, keys=tuple(dict.fromkeys(within)))


def _claims(old: Snapshot, new: Snapshot) -> Iterator[ClaimChanged]:
    before: dict[str, ClaimSeen] = {seen.claim: seen for seen in old.claims}
    for seen in new.claims:
        if seen.claim in before and before[seen.claim].holds != seen.holds:
            yield ClaimChanged(
                claim=seen.claim,
                sentence=readable(with_numbers(seen.sentence, new.values)),
                file=seen.file,
                line=seen.line,
                held=before[seen.claim].holds,
                holds=seen.holds,
                evidence=seen.evidence,
            )


def _pieces(old: Mapping[str, str], new: Mapping[str, str], *, with_rows: bool = True) -> Iterator[Piece]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            yield Piece(name=name, change="added" if name in new else "removed")
        elif old[name] != new[name]:
            yield Piece(name=name, change="changed", rows=tuple(_rows(old[name], new[name])) if with_rows else ())


def _rows(old: str, new: str) -> Iterator[tuple[str, str]]:
    """The rows of a table that changed; one side is empty for a row that came or went."""
    olds, news = ([readable(line) for line in text.splitlines()] for text in (old, new))
    matcher = difflib.SequenceMatcher(a=olds, b=news, autojunk=False)
    for tag, first, last, start, stop in matcher.get_opcodes():
        if tag != "equal":
            before, after = olds[first:last], news[start:stop]
            longest = max(len(before), len(after))
            for index in range(longest):
                yield (*before[index : index + 1], "")[0], (*after[index : index + 1], "")[0]


_READABLE = (
    (r"\\papergenlink\{[^{}]*\}\{((?:[^{}]|\{[^{}]*\})*)\}", r"\1"),
    (r"\\papergenminus(?:\{\})?", "\N{MINUS SIGN}"),
    (r"\\papergenpm(?:\{\})?", " \N{PLUS-MINUS SIGN} "),
    (r"\\papergenpower\{([^{}]*)\}", "\N{MULTIPLICATION SIGN}10^\\1"),
    (r"\\claim\s*(?:\[[^\]]*\])?\s*\{", ""),
    (r"\{\\scriptsize\s*\$\\pm\$\s*([^{}]*)\}", "\N{PLUS-MINUS SIGN} \\1"),
    (r"\\phantom\{[^{}]*\}|\\q?quad(?![A-Za-z])", ""),
    (r"\\[,;:! ]|~", " "),
    (r"\\([%&_#$])", r"\1"),
    (r"\{([\[\]])\}", r"\1"),
    (r"\\(?:textbf|textit|emph|underline|texttt|textsc)\s*\{([^{}]*)\}", r"\1"),
    (r"\\\\(?:\[[^\]]*\])?", ""),
    (r"\s+", " "),
)


def readable(tex: str) -> str:
    """TeX as a person reads it in a terminal: signs instead of our macros, no fonts, no line breaks."""
    for pattern, new in _READABLE:
        tex = re.sub(pattern, new, tex)
    return tex.strip()


def describe(found: Differences) -> str:
    """What a person reads."""
    lines = ["No number, claim, table or figure changed."] if found.is_empty else []
    shown = [changed for changed in found.numbers if changed.is_visible]
    if shown:
        lines.append("Numbers")
    width = max((width_of(changed.key) for changed in shown), default=0)
    for changed in shown:
        printed = f"{changed.printed_old or '-'} -> {changed.printed_new or '-'}"
        lines += [f"  {ljust(changed.key, width)}  {printed}", *(f"  {'':<{width}}    {why}" for why in changed.why)]
    if hidden := len(found.numbers) - len(shown):
        lines.append(f"{hidden} more changed by less than the page shows; --json lists them.")
    if found.sentences:
        lines.append("\nSentences")
    for sentence in found.sentences:
        lines += [f"  {sentence.file}:{sentence.line}", f"    - {sentence.old}", f"    + {sentence.new}"]
    words = {True: "true", False: "NOT TRUE", None: "not known"}
    if found.claims:
        lines.append("\nClaims")
    for claim in found.claims:
        lines.append(f"  {claim.file}:{claim.line}: was {words[claim.held]}, is {words[claim.holds]}: {claim.claim}")
        lines += [f"    {claim.sentence}", f"    {'; '.join(claim.evidence)}"]
    for heading, pieces in (("Tables", found.tables), ("Figures", found.figures)):
        if pieces:
            lines.append(f"\n{heading}")
        for piece in pieces:
            lines.append(f"  {piece.name}: {piece.change}")
            lines += [f"    {sign} {row}" for pair in piece.rows for sign, row in zip("-+", pair, strict=True) if row]
    if found.numbers or found.tables:
        lines.append("")
    return "\n".join(lines)
