"""What would tell reviewers who wrote a paper that is under double-blind review."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from papergen.latex.sources import Lines, masked
from papergen.latex.tree import Problem
from papergen.paper.check.base import Check, Subject

_THANKS = re.compile(
    r"\\(?:section|subsection|paragraph)\*?\s*\{\s*(?:Acknowledge?ments?|Funding|致谢)\s*\}|\\begin\s*\{(?:acks|ack)\}"
    r"|\\(?:thanks|acknowledgments?|ack)\b(?!\w)",
    re.IGNORECASE,
)
_REPOSITORY = re.compile(
    r"(?:github|gitlab|bitbucket|huggingface|gitee|codeberg|sourceforge)\.(?:com|org|co|io|net)/"
    r"(?P<owner>[\w.-]+)(?:/[\w.-]+)?"
)
_OWN_WORDS = re.compile(
    r"\b(?:our|my)\s+(?:previous|prior|earlier|own)\s+(?:work|paper|study|results?)\b", re.IGNORECASE
)
PUBLIC = frozenset(
    (
        *("huggingface", "pytorch", "openai-community", "facebookresearch", "google-research", "google", "openai"),
        *("microsoft", "nvidia", "deepmind", "datasets", "spaces", "models", "anonymous", "python", "tensorflow"),
        *("eleutherai", "allenai", "meta-llama", "mistralai"),
    )
)
"""Owners whose repositories say nothing about the authors."""


def _names(subject: Subject) -> Iterator[Problem]:
    """Authors, affiliations and e-mail addresses in the text that is printed."""
    for name in subject.names:
        text = masked(subject.tree.text(name), comments_only=True)
        lines = Lines(text)
        for what, word in _identities(subject):
            for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text):
                message = f"{what} {word} stands in a paper under blind review"
                yield subject.at(
                    message, name, *lines.at(match.start()), remedy="Take it out until the paper is accepted."
                )


def _identities(subject: Subject) -> Iterator[tuple[str, str]]:
    for author in subject.project.paper.authors:
        yield "the author", author.name
        if author.email:
            yield "the e-mail address", author.email
        if len(author.affiliation) > 3:
            yield "the affiliation", author.affiliation


def _thanks(subject: Subject) -> Iterator[Problem]:
    yield from _matches(subject, _THANKS, "acknowledgements tell who wrote the paper", "Leave them out for the review.")
    remedy = "Speak of that work in the third person."
    yield from _matches(subject, _OWN_WORDS, "this calls other work the authors' own", remedy)


def _links(subject: Subject) -> Iterator[Problem]:
    for name in subject.own_names:
        text = masked(subject.tree.text(name), comments_only=True)
        lines = Lines(text)
        for match in _REPOSITORY.finditer(text):
            if match["owner"].lower() not in PUBLIC and "anonymous" not in match[0].lower():
                message = f"the link {match[0]} may tell who wrote the paper"
                remedy = "Use an anonymised copy (anonymous.4open.science), or leave it out."
                yield subject.at(message, name, *lines.at(match.start()), remedy=remedy)


def _matches(subject: Subject, pattern: re.Pattern[str], message: str, remedy: str) -> Iterator[Problem]:
    for name in subject.own_names:
        text = masked(subject.tree.text(name))
        if r"\documentclass" in text:
            text = re.sub(r"\\newcommand[^\n]*|\\def[^\n]*", lambda match: " " * len(match[0]), text)
        lines = Lines(text)
        for match in pattern.finditer(text):
            yield subject.at(message, name, *lines.at(match.start()), remedy=remedy)


def _metadata(subject: Subject) -> Iterator[Problem]:
    for field, text in subject.pdf.metadata.items():
        for what, word in _identities(subject):
            if word in text:
                message = f"the PDF's {field} names {what} {word}"
                yield subject.in_pdf(message, remedy="Leave pdfauthor out of \\hypersetup for the review.")


def _if_blind(find: Callable[[Subject], Iterable[Problem]]) -> Callable[[Subject], Iterable[Problem]]:
    return lambda subject: find(subject) if subject.is_anonymous else ()


CHECKS = tuple(
    Check(
        name=name,
        looks_for=f"{looks_for}, when the paper is under blind review",
        find=_if_blind(find),
        needs_pdf=find is _metadata,
    )
    for name, looks_for, find in (
        ("anonymous-name", "names, affiliations and addresses of the authors", _names),
        ("anonymous-thanks", "acknowledgements and references to one's own work", _thanks),
        ("anonymous-link", "links to repositories", _links),
        ("anonymous-metadata", "authors in the PDF's metadata", _metadata),
    )
)
