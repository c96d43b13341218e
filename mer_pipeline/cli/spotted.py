"""How `mer spot` prints what it found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_pipeline.cli.common import say, say_table, say_warning

if TYPE_CHECKING:
    from mer_pipeline.inference.naming import Named
    from mer_pipeline.spotting.agreement import Agreement
    from mer_pipeline.spotting.result import Spotting
    from mer_pipeline.spotting.strs import Strs

_COLUMNS = ("kind", "onset", "apex", "offset", "at s", "lasts s", "px", "flags")
_LEVELS, _WIDTH = " ▁▂▃▄▅▆▇█", 96


def show_strs(scores: dict[str, Strs]) -> None:
    """A line a score, and where the public scorer's differs."""
    from mer_pipeline.spotting.strs import DIFFERENCES

    for name, score in scores.items():
        values: Any = score.as_json()
        spotting, analysis = values["spotting"], values["analysis"]
        say(
            f"{name.replace('_', ' ').upper()} {values['strs']}: spotting F1 {spotting['f1']} "
            f"(tp {spotting['tp']}, fp {spotting['fp']}, fn {spotting['fn']}), recognition F1 {analysis['f1']} "
            f"(precision {analysis['precision']}, recall {analysis['recall']}), UF1 {analysis['uf1']}"
        )
    if "strs_official" in scores:
        for text in DIFFERENCES:
            say(f"the public scorer: {text}")


def show_answers(answered: dict[str, Any]) -> None:
    """A table of the scores of answers about long videos, beside those of the control."""
    if not answered:
        return
    rows = []
    for name in ("scores", "priors_only"):
        counts, aus, kinds = (answered["lvqa"][name][of] for of in ("counts", "aus", "kinds"))
        off = (f"{counts[of]['mae']} ({counts[of]['rmse']})" for of in ("expressions", "micro", "macro"))
        words = "mer" if name == "scores" else "what is usual, without looking"
        rows.append((words, *off, aus["f1"], aus["jaccard"], kinds["uf1"], kinds["uar"]))
    columns = ("", "expressions", "micro", "macro", "AU F1", "Jaccard", "kind UF1", "UAR")
    say_table("answers about the videos; counts: mean error (root of the mean square)", columns, rows)


def agreement_json(agreed: Agreement) -> dict[str, object]:
    """JSON values of scores and agreement."""
    scores = {kind: each.as_json() for kind, each in agreed.scores.items()}
    return {"evaluation": scores, "agreement": agreed.as_json()}


def show_agreement(agreed: Agreement) -> None:
    """A table of scores, and a line a point."""
    names = ("tp", "fp", "fn", "precision", "recall", "f1")
    scores = {kind: each.as_json() for kind, each in agreed.scores.items()}
    kappa = {"all" if kind == "any" else kind: value for kind, value in agreed.kappa.items()}
    rows = [
        (kind, *(each[name] for name in names), "" if kappa[kind] is None else f"{kappa[kind]:.3f}")
        for kind, each in scores.items()
    ]
    say_table("IoU of at least 0.5, summed over all videos; kappa over frames", ("kind", *names, "kappa"), rows)
    for point, error in agreed.errors.items():
        mean = f"{round(error.mean_ms):+d} ms on average"
        say(f"{point}: {mean}, {error.absolute_ms:.0f} ms off, in {error.intervals} matches")


def show_spotting(spotting: Spotting, named: list[Named] | None) -> None:
    """A table of the intervals of a video, its events and its course."""
    from mer_pipeline.spotting.result import events_in_words

    if spotting.error:
        return
    name = spotting.name
    rows = [
        (
            each.kind, each.onset_frame, each.apex_frame, each.offset_frame,
            f"{each.onset_s:.2f}", f"{each.offset_s - each.onset_s:.2f}", f"{each.strength:.1f}", ", ".join(each.flags),
        )
        for each in spotting.intervals
    ]  # fmt: skip
    if rows and named is None:
        say_table(name, _COLUMNS, rows)
    elif rows:
        # The columns of the frames, and what moved: all of them would not fit a terminal.
        known = zip(rows, named or (), strict=True)
        say_table(
            name,
            (*_COLUMNS[:4], "group", "Action Units"),
            [
                (*row[:4], f"{each.emotion} {each.probability:.2f}" if each.emotion else "", each.words)
                for row, each in known
            ],
        )
    micro = sum(each.kind == "micro" for each in spotting.intervals)
    seconds = spotting.frames / spotting.fps
    say(f"{name}: {micro} micro- and {len(rows) - micro} macro-expressions in {seconds:.1f} s")
    if spotting.events:
        say("no expressions: " + events_in_words(spotting.events))
    if rows:
        for line in _timeline(spotting):
            say(line)
    for warning in spotting.warnings:
        say_warning(f"{Path(spotting.video).parent / name}: {warning}")


def _timeline(spotting: Spotting) -> tuple[str, str]:
    """How the skin moves over the video, and below it where micro- (|) and macro-expressions (=) lie."""
    seconds, energy = spotting.timeline.seconds, spotting.timeline.energy
    width = min(_WIDTH, len(energy))
    tops = [energy[at * len(energy) // width : (at + 1) * len(energy) // width] for at in range(width)]
    heights = [max((float(value) for value in part if value == value), default=0.0) for part in tops]  # NaN: no face
    most = max(*heights, 1e-9)
    curve = "".join(_LEVELS[round(height / most * (len(_LEVELS) - 1))] for height in heights)
    marks, start, end = [" "] * width, float(seconds[0]), float(seconds[-1]) + 1e-9
    for each in spotting.intervals:
        first, last = (int((at - start) / (end - start) * (width - 1)) for at in (each.onset_s, each.offset_s))
        marks[first : last + 1] = ("|" if each.kind == "micro" else "=") * (last - first + 1)
    return curve, "".join(marks).rstrip()
