"""What happens between the onset and the apex of a drawn clip: Action Units with sides and intensities, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Group = Literal["negative", "positive", "surprise", "none"]
GROUPS: tuple[Group, ...] = get_args(Group)

# How the coders of the public sets combine Action Units, and how often about; the groups are those of MEGC 2019, which
# counts repression (CASME II), anger, contempt, disgust, fear and sadness as negative.
VOCABULARY: Mapping[Group, Mapping[str, float]] = {
    "negative": {
        "4": 3, "4+7": 3, "4+9": 2, "9": 1, "10": 1, "4+10": 1, "7": 1, "4+6+7": 1, "7+9": 0.5, "7+10": 0.5,
        "4+5": 1, "4+5+7": 0.5, "4+23": 1, "23": 0.5, "24": 1, "4+24": 0.5, "20": 1, "1+4": 1, "1+4+15": 0.5,
        "15": 1, "4+15": 1, "1+15": 0.5, "15+17": 1, "17": 1, "4+17": 1, "12+17": 1, "12+15": 0.5, "14": 1,
        "4+14": 1, "14+17": 1, "12+14+17": 0.5, "14+15+17": 0.5, "17+24": 0.5, "17+20": 0.5, "14+24": 0.5,
        "9+17": 0.5, "10+17": 0.5, "10+14": 0.5, "28": 0.5, "16": 0.3, "18": 0.3,
    },
    "positive": {"12": 3, "6+12": 3, "6+7+12": 1, "12+25": 1, "6+12+25": 0.5, "12+14": 0.5, "6": 0.5},
    "surprise": {
        "1+2": 4, "2": 1.5, "1": 1, "1+2+25": 1.5, "1+2+5": 1.5, "5": 0.5, "26": 0.5, "25+26": 0.5, "1+2+26": 1,
        "2+5": 0.5,
    },
}  # fmt: skip
# What coders leave out because it is weak, beside what they wrote down.
_BESIDE = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 20, 24, 25, 45)
_MOUTH = (10, 16, 17, 18, 20, 23, 24, 25, 26, 28)  # what moves when a person speaks
NO_EXPRESSION = ("blink", "gaze", "speech", "head", "noise")
# Of full contraction; the intensities of FACS are steps that grow.
INTENSITIES: Mapping[str, float] = {"A": 0.35, "B": 0.6, "C": 0.9, "D": 1.2, "E": 1.5}


@dataclass(frozen=True)
class Contraction:
    """One muscle of one side: the Action Unit, the side (-1 the person's right, 1 the left) and its strength."""

    au: int
    side: int
    strength: float


@dataclass(frozen=True)
class Content:
    """What happens in one clip.

    Attributes:
        group: The emotion's group, `none` where nothing is an expression.
        coded: The Action Units as a coder notes them, such as `4B+R7A`; empty for `none`.
        numbers: Their numbers.
        contractions: Everything that moves, coded or not.
        kind: Of `NO_EXPRESSION`; empty for an expression.
    """

    group: Group
    coded: str
    numbers: tuple[int, ...]
    contractions: tuple[Contraction, ...]
    kind: str = ""


_CHOICES = {
    group: ([tuple(map(int, text.split("+"))) for text in rows], np.cumsum([*rows.values()]) / sum(rows.values()))
    for group, rows in VOCABULARY.items()
}


def draw_content(rng: np.random.Generator, group: Group) -> Content:
    """One clip of a group.

    >>> draw_content(np.random.default_rng(3), "surprise").numbers
    (1, 2)
    """
    if group == "none":
        return _no_expression(rng)
    combinations, cumulative = _CHOICES[group]
    numbers = combinations[int(np.searchsorted(cumulative, rng.random()))]
    # One side alone in a quarter of the clips; the other follows a little.
    alone = 0 if rng.random() > 0.25 else -1 if rng.random() < 0.5 else 1
    contractions, coded = [], []
    for number in numbers:
        letter = "ABCDE"[min(4, int(rng.gamma(2.5, 0.7)))]
        contractions += _both(rng, number, INTENSITIES[letter] * float(np.exp(rng.normal(0, 0.15))), alone)
        coded.append({0: "", -1: "R", 1: "L"}[alone] + f"{number}{letter}")
    if rng.random() < 0.15:
        contractions += _both(rng, _BESIDE[rng.integers(len(_BESIDE))], rng.uniform(0.1, 0.35))
    return Content(group, "+".join(coded), numbers, tuple(contractions))


def _both(rng: np.random.Generator, number: int, strength: float, alone: int = 0) -> list[Contraction]:
    """Both sides, never quite alike; where one is alone, the other moves by at most a third."""
    lean = float(np.exp(rng.normal(0, 0.2)))
    share = {side: 1.0 if alone in (0, side) else float(rng.uniform(0, 0.35)) for side in (-1, 1)}
    return [Contraction(number, side, strength * share[side] * lean**side) for side in (-1, 1)]


def _no_expression(rng: np.random.Generator) -> Content:
    kind = NO_EXPRESSION[rng.integers(len(NO_EXPRESSION))]
    contractions: list[Contraction] = []
    if kind == "blink":
        contractions = _both(rng, 45, rng.uniform(0.5, 2) * (1 if rng.random() < 0.5 else -1))  # closing or opening
    elif kind == "speech":
        for number in rng.permutation(_MOUTH)[: rng.integers(1, 4)]:
            contractions += _both(rng, int(number), rng.uniform(0.3, 1.3) * (1 if rng.random() < 0.6 else -1))
    return Content("none", "", (), tuple(contractions), kind)
