"""Words in both languages of papers, side by side where they are written: what is printed in English and in Chinese."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Phrase(str):
    """`Phrase("Speed", "速度")`: as a string it is the English; `said` gives the words in the paper's language.

    Whether a text is put into Chinese is decided by its type: a plain string, such as the name of an author's own row,
    is printed as it stands. `also` are other Chinese words by which prose speaks of the same thing.
    """

    zh: str
    also: tuple[str, ...]

    def __new__(cls, en: str, zh: str, *, also: tuple[str, ...] = ()) -> Phrase:
        """English and Chinese; the same word twice where Chinese papers print the English one."""
        made = super().__new__(cls, en)
        made.zh, made.also = zh, also
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]  # `str` has one argument
        """What `copy` and `pickle` make it from."""
        return str(self), self.zh

    def format(self, *args: object, **kwargs: object) -> Phrase:
        """Both languages with their `{}` filled in; a `Phrase` among the values in that language."""

        def filled(text: str, language: str) -> str:
            named = {name: _in(value, language) for name, value in kwargs.items()}
            return text.format(*(_in(value, language) for value in args), **named)

        return Phrase(filled(str(self), "en"), filled(self.zh, "zh"))


def said(text: str, language: str) -> str:
    """The words in that language; what is no `Phrase` stays as it is."""
    return text.zh if language == "zh" and isinstance(text, Phrase) else text


def listed(parts: Iterable[str]) -> str:
    """The parts with commas between them, Chinese ones where a part is a `Phrase`."""
    parts = tuple(parts)
    english = ", ".join(parts)
    phrases = [part for part in parts if isinstance(part, Phrase)]
    if not phrases:
        return english
    also = tuple(word for phrase in phrases for word in phrase.also)
    return Phrase(english, "，".join(said(part, "zh") for part in parts), also=also)


def _in(value: object, language: str) -> Any:
    return said(value, language) if isinstance(value, str) else value
