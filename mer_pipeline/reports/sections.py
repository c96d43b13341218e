"""What the templates lay out, made from what was read: charts, tables and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mer_pipeline import networks
from mer_pipeline.evaluation.calibration import cool
from mer_pipeline.evaluation.protocols import protocol_sentence
from mer_pipeline.evaluation.statistics import figures
from mer_pipeline.evaluation.summary import cautions, source_words
from mer_pipeline.facs import AU_NAMES
from mer_pipeline.figures.charts import curve, half_circle, reliability
from mer_pipeline.figures.ranges import RangeChart, RangeMark, RangeRow, around_zero
from mer_pipeline.inference.external import ExternalTest
from mer_pipeline.reading import Option, well_formed
from mer_pipeline.recipe import recipe_defaults
from mer_pipeline.runs.ablation import Ablation, AblationFacts, AblationRow
from mer_pipeline.runs.card import Prediction
from mer_pipeline.runs.facts import Facts
from mer_pipeline.runs.metrics import Metrics
from mer_pipeline.runs.results import AUS_ONLY, MEASURES, Difference
from mer_pipeline.runs.run import Run
from mer_pipeline.training.tables import cells_of

_AUS = {
    "predicted": "at test time the Action Units are the network's own estimate",
    "annotated": "at test time it is given annotated Action Units, which are not available for a new clip",
    "none": "at test time it is given no Action Units",
    "unused": "it takes no Action Units",
}
_SOURCES = {
    "annotated": "annotated (not available for a new clip)",
    "predicted": "predicted by the network",
    "none": "none",
    "unused": "not an input",
}
_MEASURED = {
    "image_error": "mean squared error of the dynamic image to its target",
    "image_ssim": "structural similarity of the two (1 is equal)",
    "kendall_tau": "Kendall's tau of the rank scores with time (1 is in order)",
}
_INNER = "epoch chosen by subjects inside the training fold"
_FIXED = {"cva": 90, "horizontal": 0}


def of_run(run: Run) -> dict[str, object]:
    """Everything of the page of a run but its single clips."""
    return {
        "run": run,
        "measures": MEASURES,
        "sentence": sentence(run),
        "cautions": cautions(run.metrics),
        "older": bool(run.metrics.seeds) and not run.metrics.of_all_seeds,
        "scores": score_chart(run),
        "ways": way_rows(run),
        "differences": control_chart(run),
        "verdicts": [control for control in run.metrics.controls if control.name != AUS_ONLY],
        "image_added": image_added(run),
        "source_words": source_words(run.metrics),
        "sources": [(_SOURCES.get(name, name), values) for name, values in run.metrics.by_aus.items()],
        "confusion": confusion(run.metrics),
        "classes": class_chart(run),
        "subjects": subjects(run),
        "curves": curves(run),
        "angles": angles(run),
        "angle_words": angle_words(run),
        "reliability": reliability(_of_all_seeds(run)),
        "cooled": reliability(
            [cool(p, t.metrics.calibration.temperature) for t in run.trainings for p in t.predictions]
        ),
        "au_names": AU_NAMES,
        "measured_words": _MEASURED,
        "recipe": recipe_rows(run),
        "facts": fact_rows(run.facts),
    }


def sentence(run: Run) -> str:
    """What was run, in words."""
    metrics, sets, epochs = run.metrics, ", ".join(run.facts.data.datasets), run.facts.recipe["epochs"]
    seeds = f", {len(metrics.seeds)} times with different seeds" if metrics.seeds else ""
    held_out = protocol_sentence(metrics.protocol)
    counts = {
        "last": f"The last of {epochs} epochs counts",
        "inner": f"Of {epochs} epochs the one counts that subjects inside each training fold chose",
        "oracle": f"Of {epochs} epochs the one counts that scores best on the held-out clips ({metrics.optimistic[1]})",
    }[metrics.selection]
    return (
        f"{metrics.model} was trained in {len(run.folds)} folds, {held_out}{seeds}, on {metrics.clips} clips of "
        f"{metrics.subjects} subjects of {sets}, with the {len(metrics.classes)} classes of {metrics.labels}. "
        f"{counts}; {_AUS.get(metrics.aus, metrics.aus)}. Onset and apex are {metrics.keyframes}"
        f"{'' if metrics.keyframes == 'spotted' else '; those of a new video are spotted'}."
    )


def score_chart(run: Run) -> RangeChart:
    """Every measure: the honest value with its interval, and the optimistic one."""
    rows = []
    for name, label in MEASURES.items():
        honest, optimistic = run.metrics.honest[name], run.metrics.optimistic[0][name]
        rows.append(
            RangeRow(
                label,
                _score(run.metrics, name),
                _marks(run, name),
                interval=_interval(run.metrics, name),
                joined=(min(honest, optimistic), max(honest, optimistic)),
                aside=f"{optimistic:.3f}",
            )
        )
    return RangeChart(rows)


def _interval(metrics: Metrics, measure: str) -> tuple[float, float] | None:
    """Of the honest score; an older version wrote that of the epoch which the test fold chose."""
    return None if metrics.selection == "oracle" and not metrics.of_all_seeds else metrics.intervals[measure]


def _marks(run: Run, measure: str) -> list[RangeMark]:
    """The score of every seed, the optimistic and the honest one."""
    scores, how = run.metrics.optimistic
    seeds = [
        RangeMark(
            (seed.honest or seed.scores)[measure],
            "seed",
            f"seed {seed.name}: {(seed.honest or seed.scores)[measure]:.3f}",
        )
        for seed in run.metrics.seeds
    ]
    optimistic = RangeMark(scores[measure], "optimistic", f"{scores[measure]:.3f}, {how}")
    return [*seeds, optimistic, RangeMark(run.metrics.honest[measure], "honest", _score(run.metrics, measure))]


def _score(of: Metrics | AblationRow, measure: str) -> str:
    deviation = of.deviation if isinstance(of, AblationRow) else of.honest_deviation
    return f"{of.honest[measure]:.3f}" + (f" ± {deviation[measure]:.3f}" if deviation else "")


def way_rows(run: Run) -> list[tuple[str, Any, bool]]:
    """Every way of choosing the epoch that was recorded: its name, its scores, and whether it is optimistic."""
    names = {"last": "last epoch", "inner": _INNER, "oracle": run.metrics.optimistic[1]}
    return [
        (names[name], run.metrics.selections[name], name == "oracle")
        for name in names
        if name in run.metrics.selections
    ]


def _of_all_seeds(run: Run) -> list[Prediction]:
    return [prediction for training in run.trainings for prediction in training.predictions]


def control_chart(run: Run) -> RangeChart:
    """UF1 of the network less that of each control."""
    rows = []
    for control in run.metrics.controls:
        found, mark = control.difference, RangeMark(control.difference.value, "honest", control.verdict)
        rows.append(RangeRow(control.name, f"{found.value:+.3f}", [mark], (found.low, found.high)))
    return around_zero(rows)


def image_added(run: Run) -> str:
    """Whether the image is shown to add to annotated Action Units; empty where that was not measured."""
    control = next((control for control in run.metrics.controls if control.name == AUS_ONLY), None)
    if control is None:
        return ""
    if not (control.difference.clear and control.difference.value > 0):
        return f"{control.verdict[:1].upper()}{control.verdict[1:]}."
    return (
        f"The image is shown to add: with annotated Action Units the network's UF1 is above that of annotated Action "
        f"Units alone, which need no image ({figures(control.difference)})."
    )


def confusion(of: Metrics | ExternalTest) -> list[tuple[str, list[tuple[int, float]]]]:
    """Class -> clips answered as each class, and their share of the class."""
    counted = of.confusion if isinstance(of, Metrics) else of.scores.confusion
    return [
        (name, [(count, count / max(sum(counts), 1)) for count in counts])
        for name, counts in zip(of.classes, counted, strict=True)
    ]


def of_evaluation(found: ExternalTest) -> dict[str, object]:
    """Everything that the page of an external test shows."""
    overall, (low, high) = found.scores.overall, found.intervals["uf1"]
    return {
        "found": found,
        "sentence": f"UF1 {overall.uf1:.3f} on {overall.clips} clips of {found.subjects} people, 95 % interval over "
        f"subjects {low:.3f} to {high:.3f}.",
        "rows": [("all", overall), *((name, one.overall) for name, one in found.by_dataset.items())],
        "confusion": confusion(found),
        "au_names": AU_NAMES,
    }


def class_chart(run: Run) -> RangeChart:
    """F1 and recall of every class that occurs."""
    rows = []
    for name, scores in run.metrics.per_class.items():
        f1, recall = scores.f1, scores.recall
        marks = [RangeMark(recall, "second", f"recall {recall:.3f}"), RangeMark(f1, "honest", f"F1 {f1:.3f}")]
        rows.append(RangeRow(name, f"{f1:.2f} | {recall:.2f}", marks))
    return RangeChart(rows)


def subjects(run: Run) -> list[tuple[str, int, int]]:
    """Subject, right and all clips of all seeds, the best first."""
    right: Counter[str] = Counter()
    clips: Counter[str] = Counter()
    several = len(run.metrics.by_dataset) > 1
    for p in _of_all_seeds(run):
        subject = p.clip_id.rpartition("/")[0]
        name = subject if several else subject.rpartition("/")[2]
        clips[name] += 1
        right[name] += p.truth == p.predicted
    return sorted(((name, right[name], clips[name]) for name in clips), key=lambda s: (-s[1] / s[2], -s[2], s[0]))


def curves(run: Run) -> list[tuple[str, Markup, str]]:
    """Title, drawing and remark."""
    every = [fold for training in run.trainings for fold in training.folds]
    folds = f"mean and 10th to 90th percentile of {len(every)} folds" + (" of all seeds" if run.metrics.seeds else "")
    chosen = [fold.chosen_epoch for fold in every if fold.chosen_epoch is not None]
    marks = "; ticks below: the epochs chosen inside the training folds" if chosen else ""
    loss = curve([f.history.loss for f in every], "Training loss over epochs", "control", share=False, chosen=chosen)
    tested = curve([f.history.test_accuracy for f in every], "Held-out accuracy over epochs", "honest", share=True)
    use = "never used to choose" if run.metrics.selection != "oracle" else run.metrics.optimistic[1]
    return [("Training loss", loss, folds + marks), (f"Accuracy on held-out clips, {use}", tested, folds)]


def angles(run: Run) -> list[tuple[str, Markup]]:
    """A half circle a layer with the path of every fold; empty where nothing is learned."""
    start = run.facts.options.get("theta_deg")
    found = []
    for layer, mean in enumerate(run.metrics.theta_deg):
        title = f"layer {layer + 1}" if len(run.metrics.theta_deg) > 1 else "all layers, one angle"
        paths = []
        for fold in (fold for training in run.trainings for fold in training.folds):
            with well_formed(fold.folder / "result.json"):
                learned = [layers[layer] for layers in fold.history.theta_deg]
            paths.append((fold.held_out, [*([float(start)] if isinstance(start, int | float) else []), *learned]))
        found.append((f"{title}: {mean:.1f}°", half_circle(paths, mean, f"Learned angle, {title}")))
    return found


def angle_words(run: Run) -> str:
    """What to say where no angle is learned."""
    if run.metrics.theta_deg or not run.metrics.attention:
        return ""
    if run.metrics.attention in _FIXED:
        return f"Attention {run.metrics.attention} is fixed at {_FIXED[run.metrics.attention]}°; no angle is learned."
    return "This network has no oriented attention." if run.metrics.attention == "none" else ""


def recipe_rows(run: Run) -> list[tuple[str, str, str | None]]:
    """Key, value, and the default where the value differs from it (None else); those that differ first."""
    recipe = {
        key: value for key, value in run.facts.recipe.items() if key not in ("model", "network", "source", "options")
    }
    defaults = run.facts.defaults or recipe_defaults()  # runs of older versions state none
    rows = [(key, value, defaults.get(key, value)) for key, value in recipe.items()]
    with well_formed(run.folder / "run.json"):
        known = networks.option_defaults(run.facts.network)
        rows += [(f"options.{key}", value, known.get(key)) for key, value in run.facts.options.items()]
    shown = [(key, _text(value), _text(default) if value != default else None) for key, value, default in rows]
    return sorted(shown, key=lambda row: row[2] is None)


def fact_rows(facts: Facts | AblationFacts) -> list[tuple[str, str]]:
    """Data, versions and hardware."""
    names = {"view": "input", "size": "picture size, px", "flow": "optical flow", "fingerprint": "data fingerprint"}
    data = facts.data if isinstance(facts, Facts) else None
    rows = [(label, _text(getattr(data, key))) for key, label in names.items() if getattr(data, key, None)]
    rows += [(name, _text(value)) for part in (facts.versions, facts.hardware) for name, value in part.items()]
    return rows


def _text(value: Any) -> str:
    """A JSON value as text."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not set"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def _settings(settings: Mapping[str, Option]) -> str:
    return ", ".join(f"{key}: {_text(value)}" for key, value in settings.items())


def of_ablation(ablation: Ablation) -> dict[str, object]:
    """Everything of the page of an ablation."""
    runs = ablation.runs
    sources = [
        name for name in ("annotated", "predicted", "none") if any(name in run.metrics.by_aus for _, run in runs)
    ]
    return {
        "ablation": ablation,
        "measures": MEASURES,
        "details": cells_of(ablation.rows),
        "sources": sources,
        "first": runs[0][1],
        "first_row": runs[0][0],
        "sentence": ablation_sentence(ablation),
        "scores": RangeChart([_scores_of_row(row) for row in ablation.rows]),
        "differences": around_zero(
            [_difference_of_row(row, row.difference) for row in ablation.rows if row.difference]
        ),
        "parts": [(row, run, _settings(row.settings), *_of_row(run)) for row, run in runs],
        "facts": fact_rows(ablation.facts),
    }


def _of_row(run: Run) -> tuple[object, ...]:
    return score_chart(run), confusion(run.metrics), class_chart(run), angles(run), angle_words(run)


def ablation_sentence(ablation: Ablation) -> str:
    """What was run, in words."""
    metrics = ablation.runs[0][1].metrics
    seeds = f"{len(metrics.seeds)} trainings a row with different seeds" if metrics.seeds else "one training a row"
    held_out = protocol_sentence(metrics.protocol)
    return (
        f"{len(ablation.runs)} variants of {metrics.model}, all judged alike: {metrics.fold_count} folds, {held_out}, "
        f"on {metrics.clips} clips of {metrics.subjects} subjects of {', '.join(metrics.by_dataset)}, with the "
        f"{len(metrics.classes)} classes of {metrics.labels}; {seeds}."
    )


def _scores_of_row(row: AblationRow) -> RangeRow:
    if row.run is None:
        return RangeRow(row.label, _score(row, "uf1"), [RangeMark(row.honest.uf1, "control", row.what)])
    interval = _interval(row.run.metrics, "uf1")
    return RangeRow(row.label, _score(row, "uf1"), _marks(row.run, "uf1"), interval, anchor=f"row-{row.name}")


def _difference_of_row(row: AblationRow, found: Difference) -> RangeRow:
    note = f"{found.value:+.3f}" + ("" if found.p_holm is None else f", p = {found.p_holm:.3f}")
    mark = RangeMark(found.value, "honest", row.verdict)
    return RangeRow(row.label, note, [mark], (found.low, found.high), anchor=f"row-{row.name}")
