"""A synthetic dataset whose truth is known.

Faces are drawn from one portrait: each subject has a shape, colour, light, skin and place in the frame of its own.
In every clip, Action Units move the skin of the neutral face by a known, sub-pixel displacement that is nothing at
the onset and greatest at the apex. The clips lie on disk exactly as a public dataset does, so that every reader and
every stage can be judged on them; `truth.parquet` has what was planted.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mer_pipeline.cache.atomic import private_folder
from mer_pipeline.choices import TRUTH
from mer_pipeline.errors import MerError, os_errors
from mer_pipeline.progress import Progress, silent
from mer_pipeline.synth.flow_images import MAKERS as FLOWS
from mer_pipeline.synth.flow_images import write_flow_images
from mer_pipeline.synth.imaging import Frames
from mer_pipeline.synth.layouts.layout import LayoutWriter
from mer_pipeline.synth.layouts.registry import LAYOUTS, layout_named
from mer_pipeline.synth.long import NAME as LONG
from mer_pipeline.synth.long import write_long
from mer_pipeline.synth.options import Options
from mer_pipeline.synth.plan import balanced_emotions, draw_clip
from mer_pipeline.synth.portrait import Portrait, load_portraits
from mer_pipeline.synth.scene import make_camera, render
from mer_pipeline.synth.subjects import FRAME_SIZE_WH, Subject, draw_traits, make_subject
from mer_pipeline.synth.truth import PlantedClip, truth_table, write_truth

_DEFAULTS = Options()
# The last word of every seed. NumPy fills short seeds up with zeros, so (7, 1) and (7, 1, 0) would draw the same.
_FOR_SUBJECT, _FOR_EMOTIONS, _FOR_CLIP, _FOR_NOISE = 1, 2, 3, 4


@os_errors()
def synthesise(
    out: str | Path,
    *,
    layout: str = "casme2",
    subjects: int = 6,
    clips: int = 8,
    seed: int = 0,
    face: str | Path | None = None,
    options: Options = _DEFAULTS,
    progress: Progress = silent,
) -> Path:
    """Write a synthetic dataset; the same arguments give the same bytes.

    Args:
        out: The folder to write; it must not exist or be empty.
        layout: Which dataset's layout to write, one of `LAYOUTS`; `long` for one long video a subject; `flow`
            or `flow-computed` for flow images, drawn or measured on sketches, which take no `face` and no `options`.
        subjects: How many subjects, 1 to 99; of long videos, how many videos.
        clips: How many clips each, 1 to 200; from five on, every subject shows every class. In a long video, how many
            expressions of each of its people, every third a macro-expression.
        seed: What all randomness is drawn from.
        face: A photograph to draw the faces from, instead of the portrait that scikit-image ships.
        options: Strength of the motion, and what disturbs it.
        progress: Called after every clip.

    Returns:
        `out`, with the clips, the coding sheet and `truth.parquet`.

    Raises:
        MerError: An argument is impossible, the photograph shows no face, or `out` cannot be written.
    """
    out = Path(out)
    chosen = None if layout == LONG or layout in FLOWS else layout_named(layout)
    _check(chosen, subjects, clips, seed, options)
    if layout in FLOWS and (face is not None or options != _DEFAULTS):
        raise MerError(f"--layout {layout} has no picture of a face, no camera and no frames",
                       fix="leave out everything but --subjects, --clips and --seed")  # fmt: skip
    with _written_whole(out) as being:
        if layout in FLOWS:
            write_flow_images(being, layout, subjects, clips, seed, progress)
            return out
        portraits = load_portraits(None if face is None else Path(face))
        if chosen is None:
            write_long(
                being, TRUTH, portraits,
                subjects=subjects, expressions=clips, seed=seed, options=options, progress=progress,
            )  # fmt: skip
            return out
        _write_clips(being, chosen, portraits, subjects, clips, seed, options, progress)
    return out


def _write_clips(
    out: Path,
    layout: LayoutWriter,
    portraits: tuple[Portrait, Portrait],
    subjects: int,
    clips: int,
    seed: int,
    options: Options,
    progress: Progress,
) -> None:
    """Write the clips of every subject, the sheet and the truth; see `synthesise`."""
    planted: list[PlantedClip] = []
    camera = make_camera(options, layout.fps, (seed, 0, 0, _FOR_NOISE))
    shuffle = np.random.default_rng((seed, 0, 0, _FOR_EMOTIONS))
    emotions = balanced_emotions(sorted(layout.vocabulary), subjects, clips, shuffle)
    for index in range(subjects):
        rng = np.random.default_rng((seed, index, 0, _FOR_SUBJECT))
        subject = make_subject(portraits, draw_traits(rng, options), rng)
        for clip in _plan_subject(layout, index, subject, emotions[index], options, seed):
            frames = render(subject, clip.plan, camera, (*clip.plan.seed, 1))
            layout.write_clip(out, clip, _cropped(frames, subject, layout.crop_wh), options.video)
            planted.append(clip)
            progress("synth", len(planted), subjects * clips, clip.clip_id)
    # Last: a folder without them is seen to be unfinished.
    layout.write_sheet(out, planted)
    write_truth(out / TRUTH, truth_table(planted))


def _check(layout: LayoutWriter | None, subjects: int, clips: int, seed: int, options: Options) -> None:
    for name, value, least, greatest in (
        ("subjects", subjects, 1, 99), ("clips", clips, 1, 200), ("seed", seed, 0, 2**63 - 1),
    ):  # fmt: skip
        if not least <= value <= greatest:
            raise MerError(f"{name} must be {least} to {greatest}, got {value}")
    if layout is None:
        return
    long = ("fps", "seconds", "turn_deg", "speech_share", "hand_share", "compression", "lost", "hold_s", "people")
    for name in long:
        if getattr(options, name) != getattr(_DEFAULTS, name):
            raise MerError(f"{name} is for long videos, not for {layout.dataset}", fix="add --layout long")
    if options.video and not layout.videos:
        names = ", ".join(name for name, each in LAYOUTS.items() if each.videos)
        raise MerError(
            f"{layout.dataset} is not published as videos", fix=f"leave --video out, or choose one of: {names}"
        )


def _plan_subject(
    layout: LayoutWriter, index: int, subject: Subject, emotions: list[str], options: Options, seed: int
) -> list[PlantedClip]:
    planted: list[PlantedClip] = []
    label = layout.subject_label(index)
    left, top = _crop_corner(subject, layout.crop_wh)
    for number, emotion in enumerate(emotions):
        timing = layout.timings[number % len(layout.timings)]
        plan = draw_clip(emotion, layout.vocabulary, options, (seed, index, number, _FOR_CLIP), timing)
        folder_index, place = divmod(number, layout.per_folder)
        if place and planted:
            before = planted[-1]
            folder, first_frame = before.folder, before.first_frame + before.plan.n_frames
            first_number = before.number(before.plan.n_frames) + layout.gap
        else:
            folder, first_frame = layout.folder_label(label, folder_index, emotion), 0
            folders = -(-len(emotions) // layout.per_folder)
            # A video keeps no frame numbers, so the sheet counts its frames from 1.
            first_number = 1 if options.video else layout.first_number(index * folders + folder_index)
        planted.append(
            PlantedClip(
                dataset=layout.dataset,
                subject=label,
                clip=layout.clip_name(folder, place, first_number + plan.onset_frame),
                folder=folder,
                first_number=first_number,
                first_frame=first_frame,
                fps=layout.fps,
                pivot_xy_px=(subject.center_xy[0] - left, subject.center_xy[1] - top),
                plan=plan,
                macro=timing.macro,
            )
        )
    return planted


def _crop_corner(subject: Subject, crop_wh: tuple[int, int] | None) -> tuple[int, int]:
    """Left and top of the part of the frame that is kept, with the face in its middle."""
    if crop_wh is None:
        return 0, 0
    x, y = subject.center_xy[0] - crop_wh[0] / 2, subject.center_xy[1] - crop_wh[1] / 2
    corners = (
        np.clip(round(at), 0, full - part) for at, full, part in zip((x, y), FRAME_SIZE_WH, crop_wh, strict=True)
    )
    left, top = (int(corner) for corner in corners)
    return left, top


def _cropped(frames: Frames, subject: Subject, crop_wh: tuple[int, int] | None) -> Frames:
    if crop_wh is None:
        return frames
    left, top = _crop_corner(subject, crop_wh)
    return (frame[top : top + crop_wh[1], left : left + crop_wh[0]] for frame in frames)


@contextmanager
def _written_whole(out: Path) -> Iterator[Path]:
    """A folder beside `out`, whose content is put there when it is whole: what is killed leaves nothing like a set."""
    existed, out = out.exists(), out.absolute()
    try:
        if existed and (not out.is_dir() or any(out.iterdir())):
            raise MerError("is not an empty folder", where=out, fix="name a new folder, or empty this one")
        private_folder(out.parent)
        being = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            yield being
            if not out.exists():
                being.replace(out)
            else:
                for child in sorted(being.iterdir(), key=Path.is_file):  # the sheet last: without it, it is no set
                    child.replace(out / child.name)
        finally:
            shutil.rmtree(being, ignore_errors=True)
    except OSError as error:
        where = error.filename or out
        raise MerError(
            f"cannot write: {error.strerror or error}",
            where=where,
            fix="choose a folder you may write, with space left",
        ) from error
