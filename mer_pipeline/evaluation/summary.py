"""What a run came to: the scores of its pooled predictions, what they stand beside, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace

import numpy as np
import torch

from mer_pipeline.choices import SELECTIONS
from mer_pipeline.evaluation.controls import DESCRIPTIONS, SVM
from mer_pipeline.evaluation.metrics import DetailedScores, scores
from mer_pipeline.evaluation.statistics import (
    FEW_SUBJECTS,
    POWER,
    differences,
    holm,
    intervals,
    rare_classes,
    verdict,
)
from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.metrics import Metrics, Pooled
from mer_pipeline.runs.results import (
    AUS_ONLY,
    LEAST_SUBJECTS,
    ClassScores,
    Control,
    Difference,
    History,
    Scores,
    Seed,
    Stops,
    UnitScores,
)


@dataclass(frozen=True)
class Training:
    """What one training of a run predicted.

    Attributes:
        seed: Of the training.
        run: Its run folder.
        predictions: Of all folds, selections and AU sources.
        controls: Control -> clip_id -> class that it predicts, on the same folds.
        theta_deg: Learned angles in degrees, mean over folds, one a layer.
        spotted: Of the clips whose key frames were spotted too.
        au_scores: Action Unit -> how well the networks' own estimates find it.
        measured: What the networks measure of themselves, mean over the test clips.
        stops: Where the papers' release would have stopped; None where the test fold did not choose the epoch.
    """

    seed: int
    run: str
    predictions: Sequence[Prediction]
    controls: Mapping[str, Mapping[str, str]]
    theta_deg: tuple[float, ...] = ()
    spotted: Sequence[Prediction] = ()
    au_scores: Mapping[int, UnitScores] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    stops: Stops | None = None


def pooled(
    trainings: Sequence[Training], classes: Sequence[str], *, aus: str, select: str, merged: Mapping[str, str]
) -> Pooled:
    """Scores over the pooled predictions of all folds and trainings.

    Args:
        trainings: One or more, on the same clips.
        classes: Names.
        aus: The AU source whose score is the run's.
        select: The selection whose score is the run's.
        merged: Subject -> the group that it is held out with, where that has another name.
    """
    honest = "last" if select == "oracle" else select
    each = [headline(one.predictions, aus, honest) for one in trainings]
    source = each[0][0].aus
    truth, guesses, subjects = columns(each, merged)
    detailed = [_detailed(one, classes) for one in each]
    judged = [_detailed(headline(one.predictions, aus, select), classes).overall for one in trainings]

    def brief(selection: str, source: str) -> Scores:
        return _brief([_where(one.predictions, selection, source) for one in trainings], classes)

    return Pooled(
        aus=source,
        subjects=len(set(subjects)),
        scores=_mean(judged),
        per_class={
            name: ClassScores(*np.mean([astuple(one.per_class[name]) for one in detailed], axis=0).tolist())
            for name in detailed[0].per_class
        },
        confusion=tuple(map(tuple, np.sum([one.confusion for one in detailed], axis=0).tolist())),
        intervals=intervals(truth, guesses, subjects, classes),
        selections={
            name: brief(name, source)
            for name in SELECTIONS
            if any(p.selection == name for p in trainings[0].predictions)
        },
        by_aus={
            name: brief(honest, name)
            for name in sorted({p.aus for p in trainings[0].predictions if p.selection == honest})
        },
        by_dataset={
            name: _brief([[p for p in one if p.clip_id.split("/")[0] == name] for one in each], classes)
            for name in sorted({p.clip_id.split("/")[0] for p in each[0]})
        },
        changed_by_aus=_changed_by_aus(trainings, each),
        by_keyframes=_by_keyframes(trainings, each, classes),
        controls=_controls(trainings, each, classes, merged),
        rare_classes=rare_classes(truth, subjects),
        seeds=tuple(
            Seed(one.seed, one.run, score, one.theta_deg, own.overall)
            for one, score, own in zip(trainings, judged, detailed, strict=True)
        )
        if len(trainings) > 1
        else (),
        deviation=_deviation(judged) if len(trainings) > 1 else None,
        au_scores=_mean_units([one.au_scores for one in trainings]),
        measured={name: float(np.mean([one.measured[name] for one in trainings])) for name in trainings[0].measured},
        stops=_all_stops([one.stops for one in trainings if one.stops is not None]),
    )


def headline(predictions: Sequence[Prediction], aus: str, select: str) -> list[Prediction]:
    """The predictions that a run is judged by: one a clip, sorted by clip."""
    sources = {p.aus for p in predictions if p.selection == select}
    return _where(predictions, select, aus if aus in sources else "unused")


def _where(predictions: Sequence[Prediction], selection: str, aus: str) -> list[Prediction]:
    found = [p for p in predictions if p.selection == selection and p.aus == aus]
    return sorted(found, key=lambda p: p.clip_id)


def _changed_by_aus(trainings: Sequence[Training], each: Sequence[Sequence[Prediction]]) -> dict[str, float]:
    """Every AU source but the one of `each` -> share of the answers that differ from those."""
    selection, source = each[0][0].selection, each[0][0].aus
    others = sorted({p.aus for p in trainings[0].predictions if p.selection == selection} - {source})
    return {
        name: _share_changed(each, [_where(one.predictions, selection, name) for one in trainings]) for name in others
    }


def _share_changed(each: Sequence[Sequence[Prediction]], others: Sequence[Sequence[Prediction]]) -> float:
    """Share of the answers, over clips and trainings, that differ; both sorted by clip."""
    pairs = [(a, b) for one, other in zip(each, others, strict=True) for a, b in zip(one, other, strict=True)]
    return sum(a.predicted != b.predicted for a, b in pairs) / len(pairs)


def early_stops(histories: Sequence[History]) -> Stops:
    """Where the papers' release would have stopped the trainings of these folds."""
    at = [next((n for n, share in enumerate(h.test_accuracy) if share == 1), len(h.loss) - 1) for h in histories]
    early = sum(epoch < len(history.loss) - 1 for epoch, history in zip(at, histories, strict=True))
    angles = [history.theta_deg[epoch] for epoch, history in zip(at, histories, strict=True)]
    return Stops(early, len(histories), mean_axis_deg(angles))


def _all_stops(each: Sequence[Stops]) -> Stops | None:
    """Those of several trainings."""
    if not each:
        return None
    folds, of = sum(one.folds for one in each), sum(one.of for one in each)
    return Stops(folds, of, mean_axis_deg([one.theta_deg for one in each]))


def _by_keyframes(
    trainings: Sequence[Training], each: Sequence[Sequence[Prediction]], classes: Sequence[str]
) -> dict[str, Scores]:
    """Scores with annotated and with spotted onset and apex, of the same clips."""
    both = set.intersection(*({p.clip_id for p in one.spotted} for one in trainings))
    if not both:
        return {}
    kinds = {"annotated": each, "spotted": [one.spotted for one in trainings]}
    return {
        name: _brief([[p for p in of if p.clip_id in both] for of in kind], classes) for name, kind in kinds.items()
    }


def _controls(
    trainings: Sequence[Training],
    each: Sequence[Sequence[Prediction]],
    classes: Sequence[str],
    merged: Mapping[str, str],
) -> tuple[Control, ...]:
    """Every control's scores, and the network's UF1 less the control's on the clips that the control predicts."""
    selection, found = each[0][0].selection, {}
    for name in trainings[0].controls:
        # Action Units alone are given what only annotators know; so must be what they are compared with.
        annotated = [_where(one.predictions, selection, "annotated") for one in trainings]
        judged = annotated if name == AUS_ONLY and annotated[0] else each
        known = [[p for p in one if p.clip_id in t.controls[name]] for one, t in zip(judged, trainings, strict=True)]
        truth, guesses, subjects = columns(known, merged)
        own = [[t.controls[name][p.clip_id] for p in one] for one, t in zip(known, trainings, strict=True)]
        found[name] = (
            _mean([_without_weighted(scores(truth, guess, classes)) for guess in own]),
            differences(truth, guesses, own, subjects, classes)["uf1"],
            "the network with annotated Action Units" if judged is annotated else "the network",
            judged is each or _share_changed(judged, [_where(one.predictions, selection, "none") for one in trainings]),
        )
    corrected = holm({name: difference for name, (_, difference, *_) in found.items()})
    return tuple(
        Control(name, DESCRIPTIONS[name], score, corrected[name], _words(name, corrected[name], network, bool(hears)))
        for name, (score, _, network, hears) in found.items()
    )


def _words(name: str, difference: Difference, network: str, hears: bool) -> str:
    said = verdict(difference, network, name)
    if difference.clear and difference.value > 0:
        return said
    if not hears:
        return f"no answer of the network changes with annotated Action Units, which says nothing of the image ({said})"
    unproven = {
        AUS_ONLY: "the image is not shown to add to annotated Action Units",
        SVM: f"the network is not shown to beat the {name}",
    }
    return f"{unproven[name]} ({said})" if name in unproven else said


def source_words(metrics: Metrics) -> str:
    """How many answers hang on the source of the Action Units; empty where there is one, or it was not recorded."""
    changed = metrics.changed_by_aus
    if not changed:
        return ""
    if not any(changed.values()):
        return "no answer changes with the source, so that these are one score several times"
    shares = ", ".join(f"{name} {share:.0%}" for name, share in changed.items())
    deaf = metrics.aus == "predicted" and changed.get("none") == 0
    more = "; the estimate changes none" if deaf else ""
    return f"answers that are not those with {metrics.aus} ones: {shares}{more}"


def cautions(metrics: Metrics) -> list[str]:
    """What the reader of a run's scores should know before believing them, one sentence each."""
    found, subjects = [], metrics.subjects
    if subjects < LEAST_SUBJECTS:
        found.append(f"{subjects} test subjects are too few for any verdict ({LEAST_SUBJECTS} at least)")
    elif subjects < FEW_SUBJECTS:
        found.append(f"{subjects} test subjects are few: below {FEW_SUBJECTS} a verdict hangs on one or two of them")
    if not metrics.seeds:
        found.append("one training: its intervals leave out what another seed would change; train with --seeds 3")
    if metrics.selection != "oracle" and metrics.optimistic[0].uf1 < metrics.scores.uf1:
        found.append(
            "the optimistic score is the lower one here: each fold's epoch is the first with its highest accuracy, "
            "which need not raise UF1 over all clips"
        )
    detectable = next((c.difference.detectable for c in metrics.controls if c.name == SVM), None)
    if detectable is not None and subjects >= LEAST_SUBJECTS:
        found.append(
            f"with these {metrics.clips} clips of {subjects} subjects, a difference in UF1 to the {SVM} below about "
            f"{detectable:.2f} would be missed in more than one study of five ({POWER:.0%} power)"
        )
    found += [
        f"{name} is shown by so few subjects that {share:.0%} of sets of {subjects} would lack it: its scores, and the "
        f"averages that it is part of, hang on them"
        for name, share in metrics.rare_classes.items()
    ]
    return found


def columns(
    each: Sequence[Sequence[Prediction]], merged: Mapping[str, str]
) -> tuple[list[str], list[list[str]], list[str]]:
    """Truth of every clip, the predictions of every training, and the subject of every clip."""
    first = each[0]
    subjects = [subject_of(p.clip_id, merged) for p in first]
    return [p.truth for p in first], [[p.predicted for p in one] for one in each], subjects


def subject_of(clip_id: str, merged: Mapping[str, str]) -> str:
    """The person of a clip: `dataset/subject`, or the group that it is held out with."""
    subject = clip_id.rpartition("/")[0]
    return merged.get(subject, subject)


def _detailed(rows: Sequence[Prediction], classes: Sequence[str]) -> DetailedScores:
    return scores([p.truth for p in rows], [p.predicted for p in rows], classes)


def _brief(each: Sequence[Sequence[Prediction]], classes: Sequence[str]) -> Scores:
    return _mean([_without_weighted(_detailed(rows, classes)) for rows in each])


def _without_weighted(found: DetailedScores) -> Scores:
    return replace(found.overall, weighted_f1=None)


_PARTS = ("uf1", "uar", "accuracy", "weighted_f1")


def _mean(each: Sequence[Scores]) -> Scores:
    """Means over trainings."""
    named = {name: [getattr(one, name) for one in each] for name in _PARTS}
    known = {name: float(np.mean(values)) for name, values in named.items() if None not in values}
    return Scores.from_json({**known, "clips": each[0].clips})


def _deviation(each: Sequence[Scores]) -> Scores:
    return Scores.from_json({name: np.std([getattr(one, name) for one in each], ddof=1) for name in _PARTS})


def _mean_units(each: Sequence[Mapping[int, UnitScores]]) -> dict[int, UnitScores]:
    return {
        number: replace(
            one,
            f1=float(np.mean([units[number].f1 for units in each])),
            auc=float(np.mean([units[number].auc for units in each])),
        )
        for number, one in each[0].items()
    }


def mean_axis_deg(folds: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The mean over folds of each layer's angle; angles are axes, so 179 and 1 average to 0."""
    if not folds or not folds[0]:
        return ()
    doubled = torch.deg2rad(torch.tensor(folds, dtype=torch.float64) * 2)
    mean = torch.atan2(doubled.sin().mean(0), doubled.cos().mean(0)).rad2deg() / 2
    return tuple(round(float(angle) % 180, 2) for angle in mean)
