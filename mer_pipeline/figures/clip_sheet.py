"""The contact sheet of a cached clip: one page with what preprocessing made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from mer_pipeline.arrays import FloatImage, Image, Matrix
from mer_pipeline.cache import Store, write_atomically
from mer_pipeline.cache.clips import artefact_of, find_row
from mer_pipeline.cache.manifest import ManifestRow
from mer_pipeline.choices import Method
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.faces.landmarks import Landmarks, Scheme
from mer_pipeline.figures import panels, style
from mer_pipeline.figures.panels import Panel
from mer_pipeline.stages.flow import motion
from mer_pipeline.video import open_footage

_SIDE, _COLUMNS = 384, 4
_MARGIN, _GAP = 20, 16
_TOP, _LABEL = 104, 28
_TITLE_PX, _FACTS_PX, _LABEL_PX = 26, 17, 16
_DASHES = 24  # along a side of the crop's outline
_AROUND = 1.25  # of the crop's side: how much of the recorded frame is shown
_METHODS = {"tvl1": "TV-L1", "dis": "DIS"}


@dataclass(frozen=True)
class ClipView:
    """One preprocessed clip.

    Attributes:
        row: Of the manifest.
        source: (H, W, 3) RGB, the onset as it was recorded.
        landmarks: The face in `source`.
        to_unit: (2, 3) matrix from pixels of `source` to the unit square that the crop shows.
        onset, apex: (size, size, 3) RGB crops.
        flow: (3, size, size) u and v in pixels of the crop, and strain.
        method: How the flow was found.
    """

    row: ManifestRow
    source: Image
    landmarks: Landmarks
    to_unit: Matrix
    onset: Image
    apex: Image
    flow: FloatImage
    method: Method


@os_errors()
def write_contact_sheet(cache: str | Path, clip_id: str, path: str | Path) -> None:
    """Draw a clip of a cache; the file has mode 0600, since it shows a face.

    The recorded frame with the face's box, its landmarks and the outline of the crop; onset, apex and their difference;
    the flow as arrows, as colour and on the face; strain.

    Args:
        cache: What `mer preprocess` wrote.
        clip_id: `dataset/subject/clip`, or as much of its end as names one clip.
        path: A PNG file.

    Raises:
        MerError: No such clip, or it cannot be read, or the file's name does not end in .png.
        WriteError: The file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise MerError("a contact sheet is a PNG file", where=path, fix="give a name that ends in .png")
    write_atomically(path, style.png(draw_clip(view_clip(Path(cache), clip_id))))


def view_clip(cache: Path, clip_id: str) -> ClipView:
    """Read a clip; motion that was not preprocessed is found by TV-L1.

    Args:
        cache: What `mer preprocess` wrote.
        clip_id: `dataset/subject/clip`, or as much of its end as names one clip.

    Raises:
        MerError: No such clip, it failed, holds no frames, or its recording or its artefacts are gone.
    """
    row = find_row(cache, clip_id)
    if row.status != "ok":
        raise MerError(f"failed at the stage {row.stage} ({row.reason})", where=row.clip_id)
    if row.kind != "frames":
        raise MerError("a flow image, which shows no face", where=row.clip_id, fix="choose a clip with frames")
    store = Store(cache / "objects")
    detected, aligned, crops = (artefact_of(store, row, stage) for stage in ("detect", "align", "crop"))
    onset_frame, apex_frame = row.onset_frame or 0, row.apex_frame or 0
    frames = crops.frames
    at_onset = frames.index(onset_frame)
    onset, apex = crops.arrays["crops"][at_onset], crops.arrays["crops"][frames.index(apex_frame)]
    method = cast(Method, row.motion or "tvl1")
    flow = artefact_of(store, row, "motion").arrays["flow"] if row.motion_key else motion(onset, apex, method)
    return ClipView(
        row,
        open_footage(Path(row.source or "")).frame(onset_frame),
        Landmarks(detected.arrays["points_xy"][at_onset], cast(Scheme, detected.facts["scheme"])),
        aligned.arrays["to_unit"][at_onset],
        onset,
        apex,
        flow.astype(np.float32),
        method,
    )


def draw_clip(view: ClipView) -> Image:
    """The sheet, (height, width, 3) uint8 RGB."""
    onset, apex, flow, row = view.onset, view.apex, view.flow, view.row
    full_px = panels.full_scale(flow)
    shown = (
        _recorded(view),
        panels.picture(onset, f"onset, frame {row.onset_frame}", _SIDE),
        panels.picture(apex, f"apex, frame {row.apex_frame}", _SIDE),
        panels.difference(onset, apex, _SIDE),
        panels.flow_arrows(flow, onset, full_px, _SIDE),
        panels.flow_colours(flow, full_px, _SIDE, _METHODS.get(view.method, view.method)),
        panels.strain(flow[2], _SIDE),
        panels.flow_on_face(flow, onset, full_px, _SIDE),
    )
    width = 2 * _MARGIN + _COLUMNS * (_SIDE + _GAP) - _GAP
    step = _LABEL + _SIDE + _GAP
    page, pen = style.canvas((width, _TOP + len(shown) // _COLUMNS * step), style.PAPER)
    title, line = style.font(_TITLE_PX, True), style.font(_FACTS_PX)
    room = width - 2 * _MARGIN
    pen.text((_MARGIN, 18), style.fitted(row.clip_id, room, title), style.INK, title)
    pen.text((_MARGIN, 62), style.fitted(_facts_line(row, len(onset)), room, line), style.SOFT_INK, line)
    for at, panel in enumerate(shown):
        x, y = _MARGIN + at % _COLUMNS * (_SIDE + _GAP), _TOP + at // _COLUMNS * step
        style.place(page, panel, (x, y), _LABEL, _LABEL_PX)
    return np.asarray(page)


def _facts_line(row: ManifestRow, size: int) -> str:
    aus = row.aus
    parts = [
        row.emotion or "no emotion annotated",
        f"AU {aus}" if aus else "no Action Units annotated",
        f"onset {row.onset_frame} ({row.onset_source})",
        f"apex {row.apex_frame} ({row.apex_source})",
        "offset " + ("unknown" if row.offset_frame is None else str(row.offset_frame)),
        f"{row.frames} frames" + (f" at {row.fps:g} fps" if row.fps else ""),
        f"crop of {size} px",
    ]
    if row.registration == "none":
        parts.append("head drift left in")
    elif row.registered:
        parts.append(f"head drift of {row.drift_px or 0:.2f} px removed")
    else:
        parts.append("head drift NOT removed")
    if row.warnings:
        parts.append(row.warnings)
    return "   |   ".join(parts)


def _recorded(view: ClipView) -> Panel:
    """The recorded frame around the face, with box, landmarks, and the outline of the crop.

    A square part of the frame, so that the face is as large as in the other panels; or all of a small frame.
    """
    face = view.landmarks
    height, width = view.source.shape[:2]
    inverse = np.linalg.inv(np.vstack([view.to_unit, [0, 0, 1]]))[:2]
    square = np.array([(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)], np.float64) @ inverse.T
    shown_px = _AROUND * float((square.max(0) - square.min(0)).max())
    scale, middle = _SIDE / shown_px, (square.min(0) + square.max(0)) / 2
    shift = _SIDE / 2 - scale * middle
    window = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shown = cv2.warpAffine(view.source, window, (_SIDE, _SIDE), flags=how, borderValue=style.PAPER)

    def fixed(points_xy: Matrix) -> Matrix:
        """Pixels of the frame -> sixteenths of a pixel of the panel."""
        return np.asarray(np.rint(16 * (scale * points_xy + shift)), np.float64)

    x0, y0, x1, y1 = face.box.box_xyxy
    box = fixed(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])).astype(np.int32)
    cv2.polylines(shown, [box], True, style.FACE, 2, cv2.LINE_AA, 4)
    for start, end in zip(square, np.roll(square, -1, 0), strict=True):
        ends = fixed(np.linspace(start, end, 2 * _DASHES)).astype(np.int32).reshape(-1, 2, 2)
        cv2.polylines(shown, list(ends), False, style.CROP, 2, cv2.LINE_AA, 4)
    if face.scheme != "picture":
        radius = 14 if len(face.points_xy) > 100 else 26  # sixteenths
        for x, y in fixed(face.points_xy).astype(int).tolist():
            cv2.circle(shown, (x, y), radius, style.POINTS, -1, cv2.LINE_AA, 4)
    key = (("face", style.FACE), ("landmarks", style.POINTS), ("crop", style.CROP))
    return Panel(f"recorded frame ({width}x{height})", style.keyed(np.asarray(shown, np.uint8), key, _LABEL_PX))
