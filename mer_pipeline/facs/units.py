"""What an Action Unit cell says, as frozen structures, and the codes' numbers and names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

AU_NUMBERS: tuple[int, ...] = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 23, 24, 25, 26, 28, 45)
"""The Action Units of the vector that networks take, in its order."""

# fmt: off
AU_NAMES: dict[int, str] = {
    1: "Inner brow raiser", 2: "Outer brow raiser", 4: "Brow lowerer", 5: "Upper lid raiser", 6: "Cheek raiser",
    7: "Lid tightener", 8: "Lips toward each other", 9: "Nose wrinkler", 10: "Upper lip raiser",
    11: "Nasolabial deepener", 12: "Lip corner puller", 13: "Sharp lip puller", 14: "Dimpler",
    15: "Lip corner depressor", 16: "Lower lip depressor", 17: "Chin raiser", 18: "Lip pucker", 19: "Tongue show",
    20: "Lip stretcher", 21: "Neck tightener", 22: "Lip funneler", 23: "Lip tightener", 24: "Lip presser",
    25: "Lips part", 26: "Jaw drop", 27: "Mouth stretch", 28: "Lip suck", 29: "Jaw thrust", 30: "Jaw sideways",
    31: "Jaw clencher", 32: "Lip bite", 33: "Cheek blow", 34: "Cheek puff", 35: "Cheek suck", 36: "Tongue bulge",
    37: "Lip wipe", 38: "Nostril dilator", 39: "Nostril compressor", 43: "Eye closure", 45: "Blink", 46: "Wink",
    51: "Head turn left", 52: "Head turn right", 53: "Head up", 54: "Head down", 55: "Head tilt left",
    56: "Head tilt right", 57: "Head forward", 58: "Head back", 61: "Eyes turn left", 62: "Eyes turn right",
    63: "Eyes up", 64: "Eyes down", 65: "Walleye", 66: "Cross-eye",
}
"""Names of codes, for reports: the 21, and those that annotation sheets also use."""
# fmt: on

NAMED_ACTIONS = frozenset({"soft focus"})
"""Actions that sheets write as words because no code exists for them."""

Side = Literal["L", "R", "T", "B"]
Intensity = Literal["A", "B", "C", "D", "E"]

LAST_NUMBER = 99  # the coding system's highest codes (gross behaviour) end here; more digits are a lost "+"


@dataclass(frozen=True)
class ActionUnit:
    """One action: a code with its side and intensity, or a name where no code exists.

    Args:
        number: The code, 1 to 99; None for a named action.
        name: The name of an action without a code, or ``?`` for one that the coder could not name.
        side: ``L`` left, ``R`` right, ``T`` top, ``B`` bottom, None for the whole face.
        intensity: ``A`` (trace) to ``E`` (maximum), None where not annotated.
        intensity_or: The second reading of ``10A/B``.
        asymmetric: Both sides move, not equally; ``side`` is then the stronger one.
        uncertain: Marked with a question mark.
        reflex: Marked as a reflex.

    Raises:
        ValueError: If the fields do not describe an action that can be written.

    >>> str(ActionUnit(12, side="L", intensity="A"))
    'L12A'
    """

    number: int | None = None
    side: Side | None = None
    intensity: Intensity | None = None
    intensity_or: Intensity | None = None
    asymmetric: bool = False
    uncertain: bool = False
    reflex: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.number is None:
            if self.name not in NAMED_ACTIONS and self.name != "?":
                raise ValueError(f"expected a number or one of {sorted(NAMED_ACTIONS)}, got name {self.name!r}")
            if self.side or self.intensity or self.asymmetric:
                raise ValueError(f"a named action has no side and no intensity, got {self!r}")
            if self.name == "?" and not self.uncertain:
                raise ValueError("the unnamed action '?' is always uncertain")
        elif self.name or not 1 <= self.number <= LAST_NUMBER:
            raise ValueError(f"expected a number from 1 to {LAST_NUMBER} and no name, got {self.number} {self.name!r}")
        if self.side not in (None, *get_args(Side)):
            raise ValueError(f"expected a side of {get_args(Side)}, got {self.side!r}")
        if not {self.intensity, self.intensity_or} <= {None, *get_args(Intensity)}:
            raise ValueError(f"expected intensities of {get_args(Intensity)}, got {self.intensity}/{self.intensity_or}")
        if self.intensity_or and not self.intensity:
            raise ValueError("intensity_or needs intensity")

    def __str__(self) -> str:
        text = self.name or str(self.number)
        if self.asymmetric:
            text = f"A/{self.side}{text}" if self.side else f"A{text}"
        elif self.side:
            text = self.side + text
        text += self.intensity or ""
        text += f"/{self.intensity_or}" if self.intensity_or else ""
        text += "?" if self.uncertain and self.name != "?" else ""
        return f"ref({text})" if self.reflex else text


@dataclass(frozen=True)
class Alternatives:
    """A choice that the coder left open; each option is one action or several together.

    Raises:
        ValueError: If there are fewer than two options, or an empty one.

    >>> str(Alternatives(((ActionUnit(6),), (ActionUnit(12), ActionUnit(15)))))
    '6 or (12+15)'
    """

    options: tuple[tuple[ActionUnit, ...], ...]

    def __post_init__(self) -> None:
        if len(self.options) < 2 or not all(self.options):
            raise ValueError(f"expected two or more non-empty options, got {self.options!r}")

    def __str__(self) -> str:
        sums = ("+".join(map(str, option)) for option in self.options)
        return " or ".join(f"({text})" if "+" in text else text for text in sums)


Term = ActionUnit | Alternatives


@dataclass(frozen=True)
class ActionUnits:
    """The Action Units of one clip: a sequence of terms that prints itself in canonical notation.

    >>> from mer_pipeline.facs import parse_aus
    >>> aus = parse_aus("(R6 or R12) + ref(7b) + 43E?")
    >>> str(aus), len(aus), sorted(aus.numbers), aus.outside, sorted(aus.flags)
    ('(R6 or R12)+ref(7B)+43E?', 3, [6, 7, 43], ('43',), ['alternative', 'reflex', 'uncertain'])
    """

    terms: tuple[Term, ...] = ()

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def __getitem__(self, index: int) -> Term:
        return self.terms[index]

    def __str__(self) -> str:
        if len(self.terms) == 1:
            return str(self.terms[0])
        return "+".join(f"({term})" if isinstance(term, Alternatives) else str(term) for term in self.terms)

    @property
    def units(self) -> tuple[ActionUnit, ...]:
        """The actions in force: every plain term, and the first alternative of every choice."""
        return tuple(u for t in self.terms for u in (t.options[0] if isinstance(t, Alternatives) else (t,)))

    @property
    def numbers(self) -> frozenset[int]:
        """The codes in force, inside and outside the 21."""
        return frozenset(unit.number for unit in self.units if unit.number is not None)

    @property
    def outside(self) -> tuple[str, ...]:
        """Codes and names in force that the vector has no place for, as written and countable."""
        return tuple(unit.name or str(unit.number) for unit in self.units if unit.number not in AU_NUMBERS)

    @property
    def flags(self) -> frozenset[str]:
        """What a reader should know: any of ``alternative``, ``uncertain``, ``reflex``."""
        flags = {"alternative" for term in self.terms if isinstance(term, Alternatives)}
        flags |= {"uncertain" for unit in self.units if unit.uncertain}
        return frozenset(flags | {"reflex" for unit in self.units if unit.reflex})

    def vector(self) -> tuple[int, ...]:
        """Presence of the 21 in the order of ``AU_NUMBERS``.

        >>> from mer_pipeline.facs import parse_aus
        >>> [n for n, present in zip(AU_NUMBERS, parse_aus("4+L12A or 14+31").vector()) if present]
        [4, 12]
        """
        numbers = self.numbers
        return tuple(int(number in numbers) for number in AU_NUMBERS)
