"""Which Action Units stand for which emotion, as the coders of the real sets combined them: data, not rules."""

from __future__ import annotations

from dataclasses import dataclass

from mer_pipeline.synth.action_units import planted_units


@dataclass(frozen=True)
class Combination:
    """One row of a sheet's vocabulary.

    Attributes:
        aus: Action Units in plain notation.
        weight: How often it comes up among the combinations of its emotion.
        objective_class: The class that follows from the Action Units alone, 1 (I) to 7 (VII).
        notation: What the sheet writes, where that is more than `aus`: intensities, asymmetry, a choice.
    """

    aus: str
    weight: float
    objective_class: int
    notation: str = ""

    def __post_init__(self) -> None:
        planted_units(self.aus)
        if self.weight <= 0 or not 1 <= self.objective_class <= 7:
            raise ValueError(f"weight must be positive and objective_class 1 to 7, got {self}")


Vocabulary = dict[str, tuple[Combination, ...]]


def _of(*rows: tuple[str, float, int] | tuple[str, float, int, str]) -> tuple[Combination, ...]:
    return tuple(Combination(*row) for row in rows)


# Shares follow the sheet of CASME II roughly; its sadness (4 clips) and fear (2) are too rare to learn and left out.
CASME2: Vocabulary = {
    "happiness": _of(("12", 5, 1), ("6+12", 4, 1), ("R12", 1, 1), ("6+7+12", 1, 1)),
    "disgust": _of(("4+7", 3, 3), ("4+9", 3, 4), ("9", 1, 4), ("10", 2, 4), ("L10", 1, 4), ("4+7+L10", 1, 4)),
    "repression": _of(("14", 3, 7), ("15", 2, 5), ("17", 3, 7), ("14+17", 1, 7), ("15+17", 1, 5)),
    "surprise": _of(("1+2", 5, 2), ("1+2+25", 2, 2), ("L2", 1, 2), ("R2", 1, 2), ("1+L2", 1, 2)),
    "others": _of(("4", 4, 7), ("4+14", 2, 7), ("4+15", 1, 7), ("4+24", 1, 7), ("20", 1, 6), ("24", 1, 7)),
}

_ANGER = _of(("4", 3, 3), ("4+7", 3, 3), ("4+5+7", 1, 3), ("4+23", 2, 3), ("23", 1, 7))
_FEAR = _of(("1+4", 2, 7), ("1+2+4", 2, 7), ("1+2+5", 1, 7), ("20", 2, 6))
_SADNESS = _of(("1", 2, 6), ("1+4", 1, 6), ("15", 2, 5), ("1+15", 1, 5))

# The six basic emotions and others.
MMEW: Vocabulary = {
    "happiness": CASME2["happiness"],
    "surprise": CASME2["surprise"],
    "anger": _ANGER,
    "disgust": CASME2["disgust"],
    "fear": _FEAR,
    "sadness": _SADNESS,
    "others": CASME2["others"],
}
CASME3: Vocabulary = MMEW

# SMIC has no Action Units; its classes are sums of emotions.
SMIC: Vocabulary = {
    "negative": (*CASME2["disgust"], *_ANGER, *_SADNESS),
    "positive": CASME2["happiness"],
    "surprise": CASME2["surprise"],
}

CASME_SQ: Vocabulary = {
    "happiness": CASME2["happiness"],
    "disgust": CASME2["disgust"],
    "anger": _ANGER,
    "surprise": CASME2["surprise"],
}

# SAMM's coders note sides, intensities, asymmetry, and what they could not decide.
SAMM: Vocabulary = {
    "anger": _of(("4", 3, 3, "4B"), ("4+7", 3, 3, "4A+7B"), ("7", 2, 3, "ref(7B)+43"), ("4+23", 1, 3, "4+T23")),
    "contempt": _of(("L14", 3, 7, "L14A"), ("R14", 2, 7, "R14A or 17A or 24A")),
    "disgust": _of(("9", 2, 4, "9B"), ("10", 2, 4, "10A/B"), ("4+9", 1, 4, "4+9A ")),
    "fear": _of(("1+2+4", 2, 7, "1A+2A+4B"), ("20", 2, 6, "20C")),
    "happiness": _of(
        ("12", 4, 1, "A12B"), ("6+12", 3, 1, "6B+12C"), ("L12", 2, 1, "L12 or L14"), ("L12", 1, 1, "A/L12")
    ),
    "others": _of(("4+24", 2, 7, "4A + 24"), ("24", 2, 7, "24B+39"), ("17", 1, 7, "17+61")),
    "sadness": _of(("15", 2, 5, "15B"), ("1+15", 1, 5, "1A+15")),
    "surprise": _of(("1+2", 4, 2, "1B+2B"), ("1+2+25", 1, 2, "1+2C+25"), ("R2", 1, 2)),
}

CASME: Vocabulary = {
    "disgust": CASME2["disgust"],
    "repression": CASME2["repression"],
    "surprise": CASME2["surprise"],
    "tense": _of(("4+24", 2, 7), ("24", 1, 7), ("20", 1, 6)),
}

DFME: Vocabulary = {
    **{name: MMEW[name] for name in ("anger", "disgust", "fear", "happiness", "sadness", "surprise")},
    "contempt": _of(("L14", 3, 7), ("R14", 2, 7)),
}

# 4DME notes what is held, and several emotions in one clip.
FOURDME: Vocabulary = {
    "negative": _of(("4", 3, 3, "AU4"), ("L7", 1, 3, "AU4(k)+L7"), ("4+9", 2, 4, "AU4+AU9")),
    "positive": _of(("12", 3, 1, "AU12"), ("6+12", 2, 1, "AU6+AU12")),
    "surprise": _of(("1+2", 3, 2, "AU1+AU2")),
    "repression": _of(("14", 2, 7, "AU14"), ("15", 1, 5, "AU15")),
    "others": _of(("24", 1, 7, "AU24")),
    "positive+surprise": _of(("1+2+12", 1, 7, "AU1+AU2+AU12")),
}

# By objective class, which is all that CAS(ME)^3 says of its long videos.
CASME3_LONG: Vocabulary = {
    f"class {roman}": tuple(
        dict.fromkeys(each for name in CASME3 for each in CASME3[name] if each.objective_class == number)
    )
    for number, roman in enumerate(("i", "ii", "iii", "iv", "v", "vi", "vii"), 1)
}
