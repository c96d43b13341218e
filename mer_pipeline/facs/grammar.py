"""The tokenizer and the parser of Action Unit notation; the package's docstring has the grammar."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from mer_pipeline.cells import is_blank
from mer_pipeline.errors import MerError
from mer_pipeline.facs.units import (
    LAST_NUMBER,
    NAMED_ACTIONS,
    ActionUnit,
    ActionUnits,
    Alternatives,
    Intensity,
    Side,
    Term,
)

_SIDES: dict[str, Side] = {"L": "L", "R": "R", "T": "T", "B": "B"}
_INTENSITIES: dict[str, Intensity] = {"A": "A", "B": "B", "C": "C", "D": "D", "E": "E"}


def parse_aus(cell: str | float | None) -> ActionUnits:
    """Read one cell of an annotation sheet.

    Args:
        cell: The text; a spreadsheet's bare number and its missing value (None, NaN) are understood too.

    Raises:
        MerError: If the text is not Action Unit notation. The message names the offending part and its position.

    >>> str(parse_aus(" l12 + R14a or 17 ")), parse_aus("/").terms
    ('L12+(R14A or 17)', ())
    >>> parse_aus("4+smile")
    Traceback (most recent call last):
    ...
    mer_pipeline.errors.MerError: '4+smile' is not Action Unit notation: 'smile' at character 3 is no known action
    """
    text = "" if cell is None else str(cell).translate(_PLAIN)
    # No action has the code 0, while a frame may have the number 0.
    return ActionUnits() if is_blank(text) or text.strip() == "0" else _Parser(text).cell()


# Sheets from Chinese keyboards carry the full-width forms of ASCII. Every replacement is one character for one, so
# positions in messages hold; Unicode's own compatibility folding would also make "4²" into "42".
_PLAIN = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    ord(odd): plain for plain, odds in {" ": "\u3000\u00a0\ufeff", ",": "、", "-": "‐‑‒–—―−"}.items() for odd in odds
}


_TOKEN = re.compile(r"(?P<number>[0-9]+(?:\.0+(?![0-9]))?)|(?P<word>[A-Za-z]+)|(?P<mark>[+,;&()/?-])|(?P<odd>\S)")
_KINDS = dict.fromkeys("+,;&-", "+") | {"and": "+", "or": "or", "ref": "ref", "reflex": "ref"}
_DEEPEST = 20  # brackets inside brackets; a cell never has three, and the parser must not exhaust the stack


class _Token(NamedTuple):
    kind: str  # "number", "word", "or", "ref", "end", "odd", "+" for every separator, or the mark itself
    text: str
    position: int  # 1-based character in the cell


def _tokens(text: str) -> list[_Token]:
    tokens = []
    for match in _TOKEN.finditer(text):
        part, group = match.group(), match.lastgroup or "odd"
        kind = _KINDS.get(part.lower(), part if group == "mark" else group)
        tokens.append(_Token(kind, part, match.start() + 1))
    return [*tokens, _Token("end", "", len(text) + 1)]


class _Parser:
    """Recursive descent: one method for each rule of the grammar in the package's docstring."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, _tokens(text), 0

    def cell(self) -> ActionUnits:
        terms = self.sum(0)
        if self.kind() != "end":
            raise self.error(self.tokens[self.at], "comes where '+' or 'or' is expected")
        return ActionUnits(tuple(terms))

    def sum(self, depth: int) -> list[Term]:
        terms = self.choice(depth)
        while self.take("+"):
            terms += self.choice(depth)
        return terms

    def choice(self, depth: int) -> list[Term]:
        first = self.tokens[self.at]
        groups = [self.group(depth)]
        while self.take("or") or self.take("/"):
            groups.append(self.group(depth))
        if len(groups) == 1:
            return groups[0]
        options: list[tuple[ActionUnit, ...]] = []
        for group in groups:
            plain = tuple(term for term in group if isinstance(term, ActionUnit))
            if len(plain) == len(group):
                options.append(plain)
            elif len(group) == 1 and isinstance(group[0], Alternatives):
                options += group[0].options
            else:
                raise self.error(first, "begins a choice that holds another choice inside a sum")
        return [Alternatives(tuple(options))]

    def group(self, depth: int) -> list[Term]:
        opening = self.tokens[self.at]
        if depth > _DEEPEST:
            raise self.error(opening, "is nested too deeply")
        if self.take("ref"):
            return [_marked(term, reflex=True) for term in self.group(depth + 1)]
        if not self.take("("):
            return [self.unit()]
        terms = self.sum(depth + 1)
        if not self.take(")"):
            raise self.error(opening, "is never closed")
        return [_marked(term, uncertain=True) for term in terms] if self.take_all("?") else terms

    def unit(self) -> ActionUnit:
        uncertain = self.take_all("?")
        if uncertain and self.kind() not in ("number", "word"):
            return ActionUnit(name="?", uncertain=True)
        unit = self.name() or self.code()
        return replace(unit, uncertain=self.take_all("?") or uncertain)

    def name(self) -> ActionUnit | None:
        end = self.at
        while self.tokens[end].kind == "word":
            end += 1
        name = " ".join(token.text.lower() for token in self.tokens[self.at : end])
        if name not in NAMED_ACTIONS:
            return None
        self.at = end
        return ActionUnit(name=name)

    def code(self) -> ActionUnit:
        first, letters = self.tokens[self.at], ""
        while self.kind() == "word":
            letters += self.next().text.upper()
            if letters in ("A", "AUA") and self.kind() == "/" and self.kind(1) in ("word", "number"):
                self.next()
        if self.kind() != "number":
            raise self.error(first, "is no known action" if letters else "comes where an action is expected")
        letters = letters.removeprefix("AU").removeprefix("AD")
        asymmetric = letters.startswith("A")
        side = _SIDES.get(letters[asymmetric:])
        if letters[asymmetric:] and side is None:
            raise self.error(first, "is no side: L, R, T, B, or A for asymmetric")
        unit = ActionUnit(self.number(), side=side, asymmetric=asymmetric)
        return self.suffix(unit) if self.kind() == "word" else unit

    def number(self) -> int:
        token = self.next()
        digits = token.text.partition(".")[0].lstrip("0")
        if not digits or len(digits) > len(str(LAST_NUMBER)):
            raise self.error(token, f"is no code from 1 to {LAST_NUMBER}")
        return int(digits)

    def suffix(self, unit: ActionUnit) -> ActionUnit:
        token = self.next()
        for letter in token.text.upper():
            if letter in _INTENSITIES and unit.intensity is None:
                unit = replace(unit, intensity=_INTENSITIES[letter])
            elif letter in "LR" and unit.side is None:
                unit = replace(unit, side=_SIDES[letter])
            else:
                raise self.error(token, "is no intensity (A to E) and no side (L, R)")
        # "10A/B" is A or B; in "10A/B12" the B belongs to the next code.
        if unit.intensity and self.kind() == "/" and self.kind(1) == "word" and self.kind(2) not in ("number", "/"):
            self.next()
            second = self.next()
            if second.text.upper() not in _INTENSITIES:
                raise self.error(second, "is no intensity: A to E")
            unit = replace(unit, intensity_or=_INTENSITIES[second.text.upper()])
        return unit

    def kind(self, ahead: int = 0) -> str:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)].kind

    def next(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def take(self, kind: str) -> bool:
        found = self.kind() == kind
        self.at += found
        return found

    def take_all(self, kind: str) -> bool:
        found = self.take(kind)
        while self.take(kind):
            pass
        return found

    def error(self, token: _Token, reason: str) -> MerError:
        part = f"{token.text!r} at character {token.position}" if token.text else "the end"
        text = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return MerError(f"{text!r} is not Action Unit notation: {part} {reason}")


def _marked(term: Term, *, uncertain: bool = False, reflex: bool = False) -> Term:
    if isinstance(term, Alternatives):
        return Alternatives(tuple(tuple(_mark(unit, uncertain, reflex) for unit in opt) for opt in term.options))
    return _mark(term, uncertain, reflex)


def _mark(unit: ActionUnit, uncertain: bool, reflex: bool) -> ActionUnit:
    return replace(unit, uncertain=unit.uncertain or uncertain, reflex=unit.reflex or reflex)
