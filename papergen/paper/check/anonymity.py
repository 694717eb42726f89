"""What would tell reviewers who wrote a paper under double-blind review, and what of it the final version still has."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from papergen.latex.pdf import page_texts
from papergen.latex.problems import Code, Problem
from papergen.latex.sources import Lines, masked
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


FINAL = "camera-ready"
_BLIND = re.compile(
    r"anonymous\s+(?:\w+\s+)?(?:authors?|submission|institution|affiliation)|(?:under|for)\s+(?:double.blind\s+)?review"
    r"|do\s+not\s+distribute|preliminary\s+work|匿名(?:投稿|作者)",
    re.IGNORECASE,
)
"""What styles print in a paper under review, in the place of its authors or at the foot of its first page."""


def _names(subject: Subject) -> Iterator[Problem]:
    """Authors, affiliations and e-mail addresses in the text that is printed."""
    for name in subject.names:
        text = masked(subject.tree.text(name), comments_only=True)
        lines = Lines(text)
        for what, word in _identities(subject):
            for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text):
                message = f"{what} {word} stands in a paper under blind review"
                remedy = "Take it out until the paper is accepted."
                yield subject.at(Code.AUTHOR_NAMED, message, name, *lines.at(match.start()), remedy=remedy)


def _identities(subject: Subject) -> Iterator[tuple[str, str]]:
    for author in subject.project.paper.authors:
        yield "the author", author.name
        if author.email:
            yield "the e-mail address", author.email
        if len(author.affiliation) > 3:
            yield "the affiliation", author.affiliation


def _thanks(subject: Subject) -> Iterator[Problem]:
    message, remedy = "acknowledgements tell who wrote the paper", "Leave them out for the review."
    yield from _matches(subject, _THANKS, Code.ACKNOWLEDGEMENT, message, remedy)
    message, remedy = "this calls other work the authors' own", "Speak of that work in the third person."
    yield from _matches(subject, _OWN_WORDS, Code.OWN_WORK, message, remedy)


def _links(subject: Subject) -> Iterator[Problem]:
    for name in subject.own_names:
        text = masked(subject.tree.text(name), comments_only=True)
        lines = Lines(text)
        for match in _REPOSITORY.finditer(text):
            if match["owner"].lower() not in PUBLIC and "anonymous" not in match[0].lower():
                message = f"the link {match[0]} may tell who wrote the paper"
                remedy = "Use an anonymised copy (anonymous.4open.science), or leave it out."
                yield subject.at(Code.REPOSITORY, message, name, *lines.at(match.start()), remedy=remedy)


def _matches(subject: Subject, pattern: re.Pattern[str], code: Code, message: str, remedy: str) -> Iterator[Problem]:
    for name in subject.own_names:
        text = masked(subject.tree.text(name))
        if r"\documentclass" in text:
            text = re.sub(r"\\newcommand[^\n]*|\\def[^\n]*", lambda match: " " * len(match[0]), text)
        lines = Lines(text)
        for match in pattern.finditer(text):
            yield subject.at(code, message, name, *lines.at(match.start()), remedy=remedy)


def _metadata(subject: Subject) -> Iterator[Problem]:
    for field, text in subject.pdf.metadata.items():
        for what, word in _identities(subject):
            if word in text:
                message = f"the PDF's {field} names {what} {word}"
                remedy = "Leave pdfauthor out of \\hypersetup for the review."
                yield subject.in_pdf(Code.AUTHOR_IN_METADATA, message, remedy=remedy)


def _unprinted(subject: Subject) -> Iterator[Problem]:
    assert subject.compiled is not None, "names are looked for in a PDF"
    printed = _letters("".join(page_texts(subject.compiled.pdf)))
    for author in subject.project.paper.authors:
        if _letters(author.name) not in printed:
            message = f"the author {author.name} is not printed in the final version"
            remedy = "Look at \\author in main.tex and at the options of the style."
            yield subject.in_pdf(Code.AUTHOR_MISSING, message, remedy=remedy)


def _letters(text: str) -> str:
    """Letters only, without case and accents: a PDF may hold an accent beside its letter, a style may use capitals."""
    return "".join(char for char in unicodedata.normalize("NFKD", text).casefold() if char.isalpha())


def _blind(subject: Subject) -> Iterator[Problem]:
    assert subject.compiled is not None, "the first page is that of a PDF"
    if match := _BLIND.search(page_texts(subject.compiled.pdf)[0]):
        message = f'the first page still says "{" ".join(match[0].split())}" as for a review'
        remedy = "Look at the options with which main.tex loads the class or style."
        yield subject.in_pdf(Code.STILL_BLIND, message, remedy=remedy)


def _if_blind(find: Callable[[Subject], Iterable[Problem]]) -> Callable[[Subject], Iterable[Problem]]:
    return lambda subject: find(subject) if subject.is_anonymous else ()


def _if_final(find: Callable[[Subject], Iterable[Problem]]) -> Callable[[Subject], Iterable[Problem]]:
    return lambda subject: find(subject) if subject.project.paper.mode == FINAL else ()


CHECKS = (
    *(
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
    ),
    Check(
        name="author-missing",
        looks_for="authors whose names are not printed, in mode camera-ready",
        find=_if_final(_unprinted),
        needs_pdf=True,
    ),
    Check(
        name="still-blind",
        looks_for="words of a blind review on the first page, in mode camera-ready",
        find=_if_final(_blind),
        needs_pdf=True,
    ),
)
