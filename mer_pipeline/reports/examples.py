"""Single clips of a run: one of every class with the explanation of its network, and the most surely wrong ones.

The network of a clip is that of the fold that held it out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from markupsafe import Markup

from mer_pipeline import networks
from mer_pipeline.arrays import Image
from mer_pipeline.figures import panels
from mer_pipeline.figures.attention_map import attention_map, img
from mer_pipeline.figures.charts import rank_scores
from mer_pipeline.inference.trained import rebuild
from mer_pipeline.inputs.cached import CachedClips
from mer_pipeline.networks import LEAST_MOVES, CellMap, LineMap, Network, Ranks, holds
from mer_pipeline.reading import well_formed
from mer_pipeline.runs.card import Card, Prediction
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network

EXAMPLES = 5
WORST = 8
_EVEN = 0.05  # of the largest value: a map that varies by less is called nearly even


@dataclass(frozen=True)
class Figure:
    """A drawing and the line below it."""

    drawing: Markup
    caption: str
    title: str = ""


@dataclass(frozen=True)
class Example:
    """A clip with its figures; `faced` where it was recorded as frames and so has an aligned face."""

    prediction: Prediction
    figures: Sequence[Figure]
    note: str = ""
    faced: bool = True

    @property
    def confidence(self) -> float:
        """The probability of the predicted class."""
        return max(self.prediction.probabilities)


def one_of_each_class(run: Run) -> list[Prediction]:
    """Of every class the clip that is most surely right, or most surely wrong where none is right."""
    found = []
    for name in run.metrics.classes:
        clips = [p for p in run.predictions if p.truth == name]
        found += sorted(clips, key=lambda p: (p.predicted != name, -max(p.probabilities), p.clip_id))[:1]
    return found[:EXAMPLES]


def surely_wrong(run: Run) -> list[Prediction]:
    """The wrong predictions with the highest confidence."""
    wrong = [p for p in run.predictions if p.predicted != p.truth]
    return sorted(wrong, key=lambda p: (-max(p.probabilities), p.clip_id))[:WORST]


def explained(run: Run) -> bool:
    """Whether the network of a run has attention maps or rank scores."""
    facts = run.facts
    with well_formed(run.folder / "run.json"), torch.device("meta"):
        classes, size = len(run.metrics.classes), run.facts.data.size
        outline = networks.build(facts.network, classes=classes, size=size, **facts.options)
    return outline.explains


def explanations(run: Run, clips: CachedClips, with_faces: bool) -> list[Example]:
    """Attention maps, or rank scores and dynamic images, of one clip of each class.

    Raises:
        MerError: A network or a picture is absent or damaged.
    """
    folders = {clip: fold.folder for fold in run.folds for clip in fold.clips}
    loaded: dict[Path, tuple[Network, Card]] = {}
    found = []
    for prediction in one_of_each_class(run):
        folder = folders[prediction.clip_id]
        if folder not in loaded:
            state, card = load_network(folder)
            # One at a time: a large network has hundreds of megabytes.
            loaded = {folder: (rebuild(state, card, folder).eval(), card)}
        network, card = loaded[folder]
        seen = network.explain(clips.batch(prediction.clip_id, network.view, card))
        faced = clips.shows_face(prediction.clip_id)
        face = clips.pair(prediction.clip_id)[0] if with_faces and faced else None
        figures, note = ([], "") if seen.ranks is None else _of_ranks(seen.ranks, with_faces)
        figures += [_of_map(one, face, faced) for one in seen.maps]
        found.append(Example(prediction, figures, note, faced))
    return found


def description(shown: Sequence[Example], with_faces: bool) -> str:
    """How to read what `explanations` found."""
    titles = {figure.title.split(" ")[0] for example in shown for figure in example.figures}
    words = []
    maps = titles & {"layer", "motion", "position"}
    if maps:
        words.append(
            "A map goes from its smallest value (dark) to its largest (yellow); both stand below it, and how far the "
            "answer moves where the fifth that it marks is hidden, beside regions of that shape elsewhere. A map "
            f"with less than {LEAST_MOVES:g} times as much is not drawn: the answer does not hang on it."
        )
    if "layer" in titles:
        words.append("Layers are those with attention, its mean size over channels; each continues the one before.")
    if maps & {"motion", "position"}:
        words.append("Motion and position are where the evidence for the answer lies in a stream (gradient times map).")
    if maps and not with_faces and any(example.faced for example in shown):
        words.append("The face is a drawing; --with-faces shows the crops instead.")
    if "rank" in titles:
        words.append("Rank scores are less that of the first frame, and are trained to grow with time.")
        if not with_faces:
            words.append("Dynamic images show the face: --with-faces puts the built one beside its target.")
    return " ".join(words)


def wrongly_answered(run: Run, clips: CachedClips | None) -> list[Example]:
    """The clips of `surely_wrong`, with their pictures where a cache is given."""
    return [Example(p, pictures(clips, p.clip_id) if clips is not None else ()) for p in surely_wrong(run)]


def pictures(clips: CachedClips, clip_id: str) -> list[Figure]:
    """Onset, apex and their difference; nothing of a clip without frames."""
    if not clips.shows_face(clip_id):
        return []
    onset, apex = clips.pair(clip_id)
    shown = (panels.picture(onset, "onset"), panels.picture(apex, "apex"), panels.difference(onset, apex))
    return [Figure(img(panel), panel.caption) for panel in shown]


def _of_map(seen: LineMap | CellMap, face: Image | None, faced: bool) -> Figure:
    values = seen.values if isinstance(seen, LineMap) else seen.values.ravel().tolist()
    title = seen.title + (f", {seen.theta_deg % 180:.0f}°" if isinstance(seen, LineMap) else "")
    said = "" if seen.moves is None else f"; moves the answer {seen.moves:.1f} times as much as elsewhere"
    if not holds(seen):
        return Figure(Markup('<p class="map absent">not drawn</p>'), said.removeprefix("; "), title)
    drawing = attention_map(seen, title, face, outline=faced)
    return Figure(drawing, _extent(min(values), max(values)) + said, title)


def _extent(low: float, high: float) -> str:
    """From where to where a map goes, with enough digits that both ends differ: colours alone would exaggerate.

    >>> _extent(0.49712, 0.49781), _extent(-0.1, 2.0)
    ('0.49712 to 0.49781, nearly even', '-0.1 to 2.0')
    """
    span = high - low
    digits = min(max(1 - math.floor(math.log10(span)), 0), 6) if span > 0 else 3
    even = span < _EVEN * max(abs(low), abs(high))
    return f"{low:.{digits}f} to {high:.{digits}f}" + (", nearly even" if even else "")


def _of_ranks(ranks: Ranks, with_faces: bool) -> tuple[list[Figure], str]:
    figures = [Figure(rank_scores(ranks.scores, "Rank score of every frame"), "", "rank score")]
    error = float(((ranks.built - ranks.target) ** 2).mean())
    note = f"mean squared error of the built dynamic image to its target {error:.4f}"
    if not with_faces:
        return figures, note
    for image, name in ((ranks.target, "target dynamic image"), (ranks.built, "built by the network")):
        figures.append(Figure(img(panels.dynamic_image(image, name)), name))
    return figures, note
