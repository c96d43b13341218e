"""How well alignment and spotting find what was planted, against the usual way, on the same clips in one run.

The usual way of public code: landmarks in every frame, and every frame warped by its own. Here: one place for the clip,
from the landmarks of its onset, and a registration of the skin that no muscle moves. Synthetic clips (640x480 JPEG, 200
frames a second) know how the head drifted, which skin moved, and when; a filmed clip shows the jitter that is left.

    python -m studies.alignment --clips 36 --real CLIP.mp4 --out benchmarks/reports
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from mer_pipeline.arrays import Image, Matrix
from mer_pipeline.choices import Method
from mer_pipeline.faces.align import AlignedFace, align, face_to_unit, smooth_face, unit_to_grid, warp
from mer_pipeline.faces.face_mesh import FaceMesh
from mer_pipeline.faces.landmarks import Landmarks
from mer_pipeline.spotting.course import interval
from mer_pipeline.stages.flow import motion
from mer_pipeline.stages.keyframes import find_keyframes
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.synth.action_units import displacement_field
from mer_pipeline.video import Footage, open_footage

WAYS = ("stable", "none", "usual way")
SIZE = 224
DISTURBED = Options(noise=1.0, drift_px=3, drift_deg=1, drift_scale=0.005, blink_share=1 / 3)
_STILL = {"amplitude_px": (0.0, 0.0)}
_DRIFT = {"drift_px": 3.0, "drift_deg": 1.0, "drift_scale": 0.005}
STILL = {
    "no noise": Options(noise=0, **_STILL),  # type: ignore[arg-type]
    "sensor noise": Options(noise=1, **_STILL),  # type: ignore[arg-type]
    "no noise, drift": Options(noise=0, **_STILL, **_DRIFT),  # type: ignore[arg-type]
    "sensor noise, drift": Options(noise=1, **_STILL, **_DRIFT),  # type: ignore[arg-type]
}
_SUBJECT_CLIPS = 6
_WINDOW_S = 0.5  # the longest micro-expression: a filmed clip is judged in stretches of this length
# Where a filmed face is judged, as (x0, y0, x1, y1) of the unit square: forehead and nose bridge.
JUDGED = {"forehead": (0.32, 0.08, 0.68, 0.18), "nose bridge": (0.44, 0.32, 0.56, 0.48)}

Places = dict[str, tuple[Matrix, Matrix]]
METHODS: dict[str, Method] = {"DIS": "dis", "TV-L1": "tvl1"}
# The length of the flow at every pixel, by way, method, and `crop` (all of it) or `face` (inside the landmarks).
StillFlow = dict[tuple[str, str, str], npt.NDArray[np.float32]]


@dataclass
class Planted:
    """Measurements over clips with motion, each by way.

    Attributes:
        residual_px: Drift left in still regions at the apex, pixels of the frame, one array a clip.
        kept: Share of the planted skin motion that is left in the crop, one number a clip.
        apex_error, onset_error: Spotted minus planted frame, one number a clip.
        unregistered: Clips whose registration did not converge.
    """

    residual_px: dict[str, list[npt.NDArray[np.float64]]] = field(default_factory=lambda: {way: [] for way in WAYS})
    kept: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    apex_error: dict[str, list[int]] = field(default_factory=lambda: {way: [] for way in WAYS})
    onset_error: dict[str, list[int]] = field(default_factory=lambda: {way: [] for way in WAYS})
    unregistered: int = 0


def planted_clips(root: Path) -> Iterable[tuple[dict[str, Any], Footage]]:
    """Every clip of a synthetic set with its truth."""
    for row in pd.read_parquet(root / "truth.parquet").to_dict("records"):
        truth = {str(name): value for name, value in row.items()}
        yield truth, open_footage(root / "CASME2-RAW" / f"sub{truth['subject']}" / truth["clip"])


def measure_planted(root: Path, mesh: FaceMesh, *, usual_spotting: bool = True) -> Planted:
    """Residual drift, kept motion and spotted frames of every clip.

    Args:
        root: A synthetic set in the layout of CASME II.
        mesh: Finds faces.
        usual_spotting: Spot also the usual way, with landmarks in every frame.
    """
    measured = Planted()
    for truth, footage in planted_clips(root):
        places, landmarks, registered = place(footage, truth, mesh)
        measured.unregistered += not registered
        for way, pair in places.items():
            residual, kept = against_truth(truth, landmarks, *pair)
            measured.residual_px[way].append(residual)
            measured.kept[way].append(kept)
        spotters: dict[str, Callable[[], tuple[int, int]]] = {"stable": lambda f=footage: spotted(f, mesh)}  # type: ignore[misc]
        if usual_spotting:
            spotters["usual way"] = lambda f=footage: spotted_usually(f, mesh)  # type: ignore[misc]
        for way, spot in spotters.items():
            onset, apex = spot()
            measured.onset_error[way].append(onset - truth["onset_frame"])
            measured.apex_error[way].append(apex - truth["apex_frame"])
    return measured


def place(footage: Footage, truth: dict[str, Any], mesh: FaceMesh) -> tuple[Places, Landmarks, bool]:
    """Where each way puts the face in onset and apex; the onset's landmarks; whether registration converged."""
    onset, apex = truth["onset_frame"], truth["apex_frame"]
    images = dict(footage.read([onset, apex]))
    at_onset, at_apex = mesh(images[onset])[0], mesh(images[apex])[0]
    stable = align(images, onset, at_onset)
    none = align(images, onset, at_onset, registration="none")
    places = {
        "stable": (stable[0].to_unit, stable[1].to_unit),
        "none": (none[0].to_unit, none[1].to_unit),
        "usual way": (face_to_unit(at_onset), face_to_unit(at_apex)),
    }
    return places, at_onset, stable[1].registered


def against_truth(
    truth: dict[str, Any], landmarks: Landmarks, onset_to_unit: Matrix, apex_to_unit: Matrix
) -> tuple[npt.NDArray[np.float64], float]:
    """How far still skin is moved by an alignment, (points,) pixels of the frame, and the share of motion it keeps.

    A point of the head goes through the planted drift; where it lands in the aligned apex is compared with where it is
    in the aligned onset. What is left adds to the planted motion of the skin.
    """
    hull = cv2.convexHull(landmarks.points_xy.astype(np.float32))
    x0, y0, x1, y1 = (int(edge) for edge in landmarks.box.box_xyxy)
    grid = np.stack(np.meshgrid(np.arange(x0, x1, 6), np.arange(y0, y1, 6)), -1).reshape(-1, 2).astype(float)
    points = np.array([p for p in grid if cv2.pointPolygonTest(hull, (p[0], p[1]), False) > 0])
    field_xy = displacement_field(truth["aus"], landmarks.points_xy, (640, 480)) * truth["amplitude_px"]
    skin = field_xy[points[:, 1].astype(int), points[:, 0].astype(int)].astype(np.float64)
    turn = np.deg2rad(truth["drift_deg"])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    pivot = np.array([truth["pivot_x_px"], truth["pivot_y_px"]])
    drift = np.array([truth["drift_x_px"], truth["drift_y_px"]])
    drifted = pivot + drift + truth["drift_scale"] * (points - pivot) @ rotation.T
    before = points @ onset_to_unit[:, :2].T + onset_to_unit[:, 2]
    after = drifted @ apex_to_unit[:, :2].T + apex_to_unit[:, 2]
    left = (after - before) @ np.linalg.inv(onset_to_unit[:, :2]).T
    length = np.hypot(*skin.T)
    moving = length > 0.5 * length.max()
    kept = 1 + float((left[moving] * skin[moving]).sum() / (skin[moving] ** 2).sum())
    return np.hypot(*left[length < 0.05 * length.max()].T), kept


def spotted(footage: Footage, mesh: FaceMesh) -> tuple[int, int]:
    """Onset and apex of a bare clip."""
    found = find_keyframes(footage, lambda: mesh, fps=200)
    return found.onset_frame, found.apex_frame


def spotted_usually(footage: Footage, mesh: FaceMesh) -> tuple[int, int]:
    """Onset and apex where the difference from the first frame peaks, every frame aligned by its own landmarks."""
    faces: list[npt.NDArray[np.float32]] = []
    for _, image in footage.read(range(len(footage))):
        found = mesh(image)
        faces.append(smooth_face(image, face_to_unit(found[0]), 128) if found else faces[-1])
    rows = np.r_[20:40, 60:124]  # brows, and from the nose down: the eyes blink
    energy = np.array([np.abs(face - faces[0])[rows, 32:96].mean() for face in faces])
    onset, apex, _ = interval(cv2.GaussianBlur(energy[None], (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)[0])
    return onset, apex


def flow_lengths(onset: Image, apex: Image) -> dict[str, npt.NDArray[np.float32]]:
    """The length of the flow by every method of the `motion` stage, (SIZE, SIZE) pixels."""
    return {name: np.hypot(*motion(onset, apex, method)[:2].astype(np.float32)) for name, method in METHODS.items()}


def measure_still(root: Path, mesh: FaceMesh) -> StillFlow:
    """Flow from onset to apex on the crops of faces that do not move, over all clips."""
    lengths: dict[tuple[str, str, str], list[npt.NDArray[np.float32]]] = {}
    for truth, footage in planted_clips(root):
        places, landmarks, _ = place(footage, truth, mesh)
        pair = [footage.frame(truth["onset_frame"]), footage.frame(truth["apex_frame"])]
        matrix = unit_to_grid(SIZE) @ np.vstack([places["stable"][0], [0, 0, 1]])
        hull = cv2.convexHull(np.rint(landmarks.points_xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.int32))
        face = cv2.fillConvexPoly(np.zeros((SIZE, SIZE), np.uint8), hull, (1,)) > 0
        for way, to_unit in places.items():
            onset, apex = (warp(image, at, SIZE) for image, at in zip(pair, to_unit, strict=True))
            for method, found in flow_lengths(onset, apex).items():
                lengths.setdefault((way, method, "crop"), []).append(found.ravel())
                lengths.setdefault((way, method, "face"), []).append(found[face])
    return {key: np.concatenate(values) for key, values in lengths.items()}


def _grey_crop(image: Image, to_unit: Matrix) -> Image:
    return np.asarray(cv2.cvtColor(warp(image, to_unit, SIZE), cv2.COLOR_RGB2GRAY), np.uint8)


def measure_real(clip: Path, mesh: FaceMesh) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.float64]]]:
    """Jitter of still regions of a filmed face: how far they move between two frames that follow each other.

    The clip is cut into stretches of half a second, the first frame of each taken for the onset. The movement is the
    mean DIS flow over a region of the aligned 224 pixel crops, so it is judged by other means than it was removed by.

    Returns:
        Counts; and (frames,) pixels by `way, region`, NaN at the first frame of a stretch.
    """
    footage = open_footage(clip)
    window = max(2, round(_WINDOW_S * (footage.fps or 30)))
    dis = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)
    jitter: dict[str, Matrix] = {f"{way}, {region}": np.full(len(footage), np.nan) for way in WAYS for region in JUDGED}
    with_face = registered = 0
    for begin in range(0, len(footage), window):
        images = dict(footage.read(range(begin, min(begin + window, len(footage)))))
        found = {index: faces[0] for index, image in images.items() if (faces := mesh(image))}
        with_face += len(found)
        if begin not in found:
            continue
        stable = align(images, begin, found[begin])
        registered += sum(face.registered for face in stable)
        ways = {
            "stable": stable,
            "none": align(images, begin, found[begin], registration="none"),
            "usual way": [AlignedFace(index, face_to_unit(face)) for index, face in found.items()],
        }
        for way, placed in ways.items():
            greys = {f.frame: _grey_crop(images[f.frame], f.to_unit) for f in placed if f.registered}
            for index in greys.keys() & {index + 1 for index in greys}:
                flow = dis.calc(greys[index - 1], greys[index], None)  # type: ignore[call-overload]
                for region, (a, b, c, d) in JUDGED.items():
                    part = flow[round(b * SIZE) : round(d * SIZE), round(a * SIZE) : round(c * SIZE)]
                    jitter[f"{way}, {region}"][index] = np.hypot(*part.reshape(-1, 2).mean(0))
    return {"frames": len(footage), "with_face": with_face, "registered": registered}, jitter


def main() -> None:
    """Measure and print; with --out also write the report and the plot."""
    from studies.alignment_report import draw, planted_rows, real_rows, report, still_rows

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clips", type=int, default=36, help="clips with motion, a multiple of 6")
    parser.add_argument("--real", type=Path, help="a filmed clip with one face")
    parser.add_argument("--out", type=Path, help="the folder where the report goes")
    arguments = parser.parse_args()
    subjects = max(1, arguments.clips // _SUBJECT_CLIPS)
    tables: dict[str, list[list[str]]] = {}
    with tempfile.TemporaryDirectory() as folder, FaceMesh() as mesh:
        moving = synthesise(
            Path(folder) / "moving", subjects=subjects, clips=_SUBJECT_CLIPS, seed=40, options=DISTURBED
        )
        measured = measure_planted(moving, mesh)
        tables[f"{subjects * _SUBJECT_CLIPS} clips with drift, noise and blinks"] = planted_rows(measured)
        rows = []
        for seed, (name, options) in enumerate(STILL.items(), 50):
            root = synthesise(Path(folder) / name, subjects=4, clips=1, seed=seed, options=options)
            rows += still_rows(name, measure_still(root, mesh))
        tables["Still faces"] = rows
        if arguments.real:
            counts, jitter = measure_real(arguments.real, mesh)
            title = f"{arguments.real.name}: movement of still regions from frame to frame"
            tables[title] = real_rows(counts, jitter)
    real = f" --real {arguments.real.name}" if arguments.real else ""
    text = report(f"python -m studies.alignment --clips {arguments.clips}{real}", tables, measured)
    print(text)
    if arguments.out:
        name = f"alignment-{datetime.date.today():%Y-%m-%d}"
        (arguments.out / f"{name}.md").write_text(text)
        if arguments.real:
            draw(arguments.out / f"{name}.png", jitter)


if __name__ == "__main__":
    main()
