"""One page on which a person sees what preprocessing made of a clip."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mer_pipeline.cache import write_atomically
from mer_pipeline.errors import MerError
from mer_pipeline.figures.clip_view import ClipView, view_clip
from mer_pipeline.figures.flow_colours import colour_flow, colour_wheel, round_up

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_ARROWS = 20  # along a side of the crop
_ARROW_SHARE = 0.11  # of the crop's side, for motion as long as the scale says
_STILL = 0.06  # of the scale: arrows shorter than this would be dots
_DPI = 110
_METHODS = {"tvl1": "TV-L1", "dis": "DIS"}
_FACE, _POINTS, _CROP = "#ffd400", "#00e5ff", "#ff4fa3"


def write_contact_sheet(cache: Path, clip_id: str, path: Path) -> None:
    """Draw a clip of a cache; the file has mode 0600, since it shows a face.

    Onset, apex, their difference, the flow as arrows and as colour, strain, and the recorded frame with the face's box,
    its landmarks and what the crop shows of it.

    Args:
        cache: What `mer preprocess` wrote.
        clip_id: `dataset/subject/clip`, or as much of its end as names one clip.
        path: A PNG file.

    Raises:
        MerError: No such clip, or it cannot be read, or the file's name does not end in .png.
        WriteError: The file cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise MerError("a contact sheet is a PNG file", where=path, fix="give a name that ends in .png")
    write_atomically(path, draw(view_clip(cache, clip_id)))


def draw(view: ClipView) -> bytes:
    """The sheet as PNG."""
    # Imported here because it takes a second, and only this needs it.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14.6, 8.1), dpi=_DPI, facecolor="white")
    axes = figure.subplots(2, 4)
    figure.subplots_adjust(left=0.012, right=0.988, top=0.86, bottom=0.03, wspace=0.04, hspace=0.17)
    for axis in axes.flat:
        axis.set_axis_off()
    heading, line = _heading(view)
    figure.text(0.012, 0.965, heading, fontsize=17, fontweight="bold", va="center")
    figure.text(0.012, 0.922, line, fontsize=11.5, va="center", color="0.25")
    full_px = round_up(float(np.percentile(np.hypot(*view.flow[:2]), 99)))
    _source(axes[0, 0], view)
    _picture(axes[0, 1], view.onset, f"onset, frame {view.facts['onset_frame']}")
    _picture(axes[0, 2], view.apex, f"apex, frame {view.facts['apex_frame']}")
    _difference(axes[0, 3], view)
    _arrows(axes[1, 0], view, full_px)
    _colours(axes[1, 1], view, full_px)
    _strain(axes[1, 2], view)
    _overlay(axes[1, 3], view, full_px)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _heading(view: ClipView) -> tuple[str, str]:
    facts = view.facts
    aus = facts["aus"]
    parts = [
        facts["emotion"] or "no emotion annotated",
        f"AU {aus}" if aus else "no Action Units annotated",
        f"onset {facts['onset_frame']} ({facts['onset_source']})",
        f"apex {facts['apex_frame']} ({facts['apex_source']})",
        "offset " + ("unknown" if facts["offset_frame"] is None else str(facts["offset_frame"])),
        f"{facts['frames']} frames" + (f" at {facts['fps']:g} fps" if facts["fps"] else ""),
    ]
    if facts["registration"] == "none":
        parts.append("head drift left in")
    elif facts["registered"]:
        parts.append(f"head drift of {facts['drift_px']:.2f} px removed")
    else:
        parts.append("head drift NOT removed")
    if facts["warnings"]:
        parts.append(facts["warnings"])
    return str(facts["clip_id"]), "   |   ".join(parts)


def _picture(axis: Axes, image: npt.NDArray[Any], title: str, **how: Any) -> Any:
    axis.set_title(title, fontsize=10.5, loc="left", pad=4)
    return axis.imshow(image, interpolation="nearest", **how)


def _note(axis: Axes, at: tuple[float, float], text: str, colour: str) -> None:
    """Text that can be read on any picture; `at` in shares of the axes, from below."""
    box = {"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 1.5}
    axis.text(*at, text, transform=axis.transAxes, va="center", color=colour, fontsize=10, bbox=box)


def _source(axis: Axes, view: ClipView) -> None:
    """The recorded frame around the face, with box, landmarks, and the outline of the crop."""
    from matplotlib.patches import Polygon, Rectangle

    face = view.landmarks
    height, width = view.source.shape[:2]
    inverse = np.linalg.inv(np.vstack([view.to_unit, [0, 0, 1]]))[:2]
    square = np.array([(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)], np.float64) @ inverse.T
    _picture(axis, view.source, f"recorded frame ({width}x{height})")
    (x0, y0), (box_width, box_height) = face.box.box_xyxy[:2], face.box.size_wh
    axis.add_patch(Rectangle((x0, y0), box_width, box_height, fill=False, edgecolor=_FACE, linewidth=1.4))
    axis.add_patch(Polygon(square, fill=False, edgecolor=_CROP, linewidth=1.4, linestyle="--"))
    if face.scheme != "picture":
        axis.scatter(
            face.points_xy[:, 0],
            face.points_xy[:, 1],
            s=2.2 if len(face.points_xy) > 100 else 7,
            c=_POINTS,
            linewidths=0,
        )
    for at, (name, colour) in enumerate((("face", _FACE), ("landmarks", _POINTS), ("crop", _CROP))):
        _note(axis, (0.03, 0.05 + 0.065 * at), name, colour)
    # A square part of the frame, so that the face is as large as in the other pictures; or all of a small frame.
    low, high = (np.array(edge) for edge in (square.min(0), square.max(0)))
    side = 1.25 * float((high - low).max())
    middle = (low + high) / 2
    axis.set_xlim(middle[0] - side / 2, middle[0] + side / 2)
    axis.set_ylim(middle[1] + side / 2, middle[1] - side / 2)


def _difference(axis: Axes, view: ClipView) -> None:
    """Apex less onset in grey, amplified as far as most of it fits."""
    difference = view.apex.astype(np.float32).mean(-1) - view.onset.astype(np.float32).mean(-1)
    fits = 110 / max(float(np.percentile(np.abs(difference), 99.5)), 1.0)
    factor = max(1, int(fits))
    shown = np.clip(128 + factor * difference, 0, 255)
    _picture(axis, shown, f"apex - onset, {factor} times", cmap="gray", vmin=0, vmax=255)


def _arrows(axis: Axes, view: ClipView, full_px: float) -> None:
    size = view.onset.shape[0]
    grey = 128 + 0.5 * (view.onset.astype(np.float32).mean(-1) - 128)
    length = _ARROW_SHARE * size / full_px
    _picture(axis, grey, f"flow, arrows {length:.0f} times as long", cmap="gray", vmin=0, vmax=255)
    step = size / _ARROWS
    centres = ((np.arange(_ARROWS) + 0.5) * step).astype(int)
    x, y = np.meshgrid(centres, centres)
    u, v = (channel[y, x] for channel in view.flow[:2])
    moves = np.hypot(u, v) > _STILL * full_px
    _quiver(axis, x[moves], y[moves], length * u[moves], length * v[moves])
    # The scale: an arrow as long as full colour in the next picture.
    along = length * full_px
    _quiver(axis, [0.05 * size], [0.95 * size], [along], [0.0])
    _note(axis, (0.08 + along / size, 0.05), f"{full_px:g} px", "white")


def _quiver(axis: Axes, x: Any, y: Any, u: Any, v: Any) -> None:
    axis.quiver(
        x, y, u, v, angles="xy", scale_units="xy", scale=1, color="#ffe94a", width=0.006, headwidth=3.5, headlength=4
    )


def _colours(axis: Axes, view: ClipView, full_px: float) -> None:
    method = _METHODS.get(view.method, view.method)
    _picture(axis, colour_flow(view.flow[:2], full_px), f"flow by {method}, px of the crop")
    wheel = axis.inset_axes((0.02, 0.02, 0.17, 0.17))
    wheel.set_axis_off()
    wheel.imshow(colour_wheel(120))
    axis.text(0.20, 0.10, f"rim {full_px:g} px", transform=axis.transAxes, va="center", fontsize=10)


def _strain(axis: Axes, view: ClipView) -> None:
    most = round_up(float(np.percentile(view.flow[2], 99.5)))
    shown = _picture(axis, view.flow[2], "strain, px per px", cmap="magma", vmin=0, vmax=most)
    bar = axis.inset_axes((0.05, 0.05, 0.4, 0.03))
    axis.figure.colorbar(shown, cax=bar, orientation="horizontal", ticks=[])
    _note(axis, (0.05, 0.13), f"0 to {most:g}", "white")


def _overlay(axis: Axes, view: ClipView, full_px: float) -> None:
    """Where on the face it moved: colour of the flow, mixed in by its length."""
    share = np.minimum(np.hypot(*view.flow[:2]) / full_px, 1)[..., None]
    grey = np.repeat(view.onset.astype(np.float32).mean(-1, keepdims=True), 3, -1)
    mixed = grey * (1 - 0.75 * share) + colour_flow(view.flow[:2], full_px) * 0.75 * share
    _picture(axis, mixed.astype(np.uint8), "flow on the onset")
