"""What the files of a run folder hold, as data classes; each writes and reads its own JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from mer_pipeline.reading import Between, Checked, Count, JsonObject, Share
from mer_pipeline.runs.card import Prediction, Temperature

MEASURES = {"uf1": "UF1", "uar": "UAR", "accuracy": "accuracy"}
AUS_ONLY = "aus-only"  # the control that takes annotated Action Units and no image
OPTIMISTIC = "optimistic: epoch chosen on the test fold"
LEVEL = 0.05
LEAST_SUBJECTS = 6  # fewer support no verdict: the smallest exact p of five is 2 / 2^5 = 0.06
_Signed = Annotated[float, Between(-1, 1)]
_NotNegative = Annotated[float, Between(0, math.inf)]


@dataclass(frozen=True)
class Scores(Checked):
    """Scores of some predictions, each 0 to 1.

    Attributes:
        uf1: F1 averaged over classes.
        uar: Recall averaged over classes.
        accuracy: Share of right clips.
        clips: Of how many clips; None where it is not recorded.
        weighted_f1: F1 averaged over clips; None where it is not recorded.
    """

    uf1: Share
    uar: Share
    accuracy: Share
    clips: Count | None = None
    weighted_f1: Share | None = None

    def __getitem__(self, measure: str) -> float:
        return float(getattr(self, measure))

    def as_json(self) -> JsonObject:
        """What is recorded, as JSON values."""
        values = {name: getattr(self, name) for name in ("clips", "accuracy", "uf1", "uar", "weighted_f1")}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def brief(self) -> dict[str, float]:
        """Accuracy, UF1 and UAR alone, as JSON values."""
        return {"accuracy": self.accuracy, "uf1": self.uf1, "uar": self.uar}


@dataclass(frozen=True)
class ClassScores(Checked):
    """Scores of one class, each 0 to 1."""

    f1: Share
    recall: Share


@dataclass(frozen=True)
class UnitScores(Checked):
    """How well one Action Unit is found.

    Attributes:
        clips: In which it is annotated.
        f1: At probability 0.5.
        auc: Area under the ROC curve.
        constant_f1: F1 of naming it in every clip.
    """

    clips: Count
    f1: Share
    auc: Share
    constant_f1: Share


def macro_f1(units: Mapping[int, UnitScores]) -> float | None:
    """F1 averaged over Action Units; None without any."""
    return sum(one.f1 for one in units.values()) / len(units) if units else None


@dataclass(frozen=True)
class Difference(Checked):
    """A score of one system less that of another; what older versions did not write is None.

    Attributes:
        value: On the clips at hand.
        low, high: 95 % interval over subjects, and over seeds where both have several.
        p: Two-sided, by swapping the predictions of the two systems subject by subject.
        p_interval: Two-sided, of the interval.
        p_holm: The larger of both, corrected for all comparisons of its table (Holm).
        subjects: How many were tested.
        detectable: The smallest difference that such clips show with 80 % power.
    """

    value: _Signed
    low: _Signed
    high: _Signed
    p: Share | None = None
    p_interval: Share | None = None
    p_holm: Share | None = None
    subjects: Count | None = None
    detectable: Share | None = None

    @property
    def clear(self) -> bool:
        """Whether a difference is shown: the interval leaves zero out, the tests agree, and the subjects are enough."""
        if self.subjects is not None and self.subjects < LEAST_SUBJECTS:
            return False
        return (self.low > 0 or self.high < 0) and (self.p_holm is None or self.p_holm < LEVEL)

    def as_json(self) -> JsonObject:
        """Rounded JSON values."""
        return {name: None if value is None else round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Control(Checked):
    """What needs no network, on the same folds; `difference` is the network's UF1 less its own."""

    name: str
    what: str
    scores: Scores
    difference: Difference
    verdict: str

    def as_json(self) -> JsonObject:
        """JSON values, without the name."""
        shared: JsonObject = {"difference": self.difference.as_json(), "verdict": self.verdict}
        return {"what": self.what, **self.scores.as_json(), **shared}


@dataclass(frozen=True)
class Loss(Checked):
    """A proper score of probabilities: without and with the temperature; the latter with its interval over subjects.

    It has none of a single subject.
    """

    before: _NotNegative
    after: _NotNegative
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ConformalSets(Checked):
    """Sets of classes that hold the truth of a new subject's clip with a promised probability.

    Attributes:
        level: What is promised.
        least_probability: A class is in the set from this probability on.
        covered: Share of subjects' clips whose set held the truth, by thresholds of the other subjects.
        single: Share of their sets that held one class.
    """

    level: Share
    least_probability: Share
    covered: Share
    single: Share


@dataclass(frozen=True)
class Calibration(Checked):
    """What was fitted to held-out probabilities, and what it came to; means over seeds.

    Attributes:
        temperature: What logits are divided by.
        ece_before, ece_after: Expected calibration error without and with it; noise with less than some hundred clips.
        nll, brier: Negative log-likelihood, and Brier score; None in runs of older versions.
        sets: None with fewer than nine subjects, and in runs of older versions.
    """

    temperature: Temperature
    ece_before: Share
    ece_after: Share
    nll: Loss | None = None
    brier: Loss | None = None
    sets: ConformalSets | None = None


@dataclass(frozen=True)
class Seed(Checked):
    """One of several trainings of a run.

    Attributes:
        number: The seed.
        run: Its run folder.
        scores: What it is judged by.
        theta_deg: Learned angles, mean over folds, one a layer.
        honest: Scores that no test clip had a say in; None in runs of older versions.
    """

    number: Count
    run: str
    scores: Scores
    theta_deg: tuple[float, ...]
    honest: Scores | None = None

    @property
    def name(self) -> str:
        """The seed as text."""
        return str(self.number)

    def as_json(self) -> JsonObject:
        """JSON values, without the number."""
        honest = {} if self.honest is None else {"honest": self.honest.brief}
        return {"run": self.run, **self.scores.brief, "theta_deg": list(self.theta_deg), **honest}


@dataclass(frozen=True)
class History(Checked):
    """What happened in each epoch of one training; the lists grow with it.

    Attributes:
        loss: Mean training loss.
        test_accuracy, test_uf1: On the held-out clips; recorded to show what choosing by them would do, never used to
            choose.
        theta_deg: Learned angles in degrees, one list of layers an epoch.
    """

    loss: list[float] = field(default_factory=list)
    test_accuracy: list[Share] = field(default_factory=list)
    test_uf1: list[Share] = field(default_factory=list)
    theta_deg: list[list[float]] = field(default_factory=list)

    @classmethod
    def from_json(cls, values: Any, **known: Any) -> History:
        """Read it from a JSON object."""
        values["loss"], values["test_accuracy"], values["theta_deg"]
        return super().from_json(values, **known)


@dataclass(frozen=True)
class Stops(Checked):
    """Where the papers' release would have stopped: as soon as every test clip of a fold is answered rightly.

    Attributes:
        folds: How many would have stopped before the last epoch.
        of: How many there are.
        theta_deg: Learned angles there, and of the other folds in the last epoch; mean over folds, one a layer.
    """

    folds: Count
    of: Count
    theta_deg: tuple[float, ...] = ()

    @property
    def words(self) -> str:
        """One sentence, without a full stop."""
        at = f"; learned angles there: {', '.join(f'{a:.1f}' for a in self.theta_deg)} deg" if self.theta_deg else ""
        return f"{self.folds} of {self.of} folds reached 100 % of their test clips, where the papers' release stops{at}"


@dataclass(frozen=True)
class FoldResult(Checked):
    """One finished fold.

    Attributes:
        folder: Its weights, card and result.
        chosen_epoch: The epoch chosen inside the training fold, from 1; None where the last counts.
        predictions: Of every test clip, selection and source of Action Units.
        history: What happened in each epoch.
        split: Digest of the clips that it was trained and tested on; empty in runs of older versions.
        spotted: Of the test clips whose key frames were spotted too, by the honest selection and the run's AU source.
        aus: Test clip -> its 21 estimated probabilities of Action Units; empty where the network estimates none.
        measured: Test clip -> what its network measures of itself, by name; empty where that is nothing.
        seconds: How long the process that finished it trained; 0 in runs of older versions.
    """

    folder: Path
    chosen_epoch: Annotated[int, Between(1, 1_000_000)] | None
    predictions: tuple[Prediction, ...]
    history: History
    split: str = ""
    spotted: tuple[Prediction, ...] = ()
    aus: Mapping[str, list[Share]] = field(default_factory=dict)
    measured: Mapping[str, dict[str, float]] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.predictions:
            raise ValueError("no prediction is recorded")
        if not self.history.loss or not self.history.test_accuracy:
            raise ValueError("no epoch is recorded")

    @property
    def held_out(self) -> str:
        """The group that training never saw."""
        return self.predictions[0].fold

    @property
    def clips(self) -> frozenset[str]:
        """The ids of its test clips."""
        return frozenset(p.clip_id for p in self.predictions)

    def as_json(self) -> JsonObject:
        """JSON values, without the folder."""
        known = {name: [asdict(p) for p in getattr(self, name)] for name in ("predictions", "spotted")}
        rest: JsonObject = {"aus": dict(self.aus), "measured": dict(self.measured), "history": self.history.as_json()}
        return {"chosen_epoch": self.chosen_epoch, "split": self.split, **known, **rest, "seconds": self.seconds}
