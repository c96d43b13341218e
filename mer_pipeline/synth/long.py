"""Long synthetic videos for spotting: one video a subject, filmed frame by frame, and the truth of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mer_pipeline.arrays import Image
from mer_pipeline.progress import Progress
from mer_pipeline.synth.imaging import Frames
from mer_pipeline.synth.long_plan import LongPlan, PlannedEvent, draw_long
from mer_pipeline.synth.options import Options
from mer_pipeline.synth.portrait import Portrait
from mer_pipeline.synth.scene import FilmCamera, make_camera, render
from mer_pipeline.synth.subjects import draw_traits, make_subject
from mer_pipeline.synth.truth import write_truth
from mer_pipeline.video import FOR_MEASURING, VideoWriter

NAME = "long"
DEFAULT_FPS, DEFAULT_SECONDS = 200.0, 60.0
_FOR_SUBJECT, _FOR_EVENTS, _FOR_FILM, _FOR_NOISE, _FOR_LOST = 11, 12, 13, 14, 15


def write_long(
    out: Path,
    truth: str,
    portraits: tuple[Portrait, Portrait],
    *,
    subjects: int,
    expressions: int,
    seed: int,
    options: Options,
    progress: Progress,
) -> None:
    """Write `s01.mp4` and so on, and the truth, into a folder.

    Args:
        out: Exists and is empty.
        truth: Name of the table: a row an event, with its video, kind (micro, macro, blink, turn, speech, hand), frames
            and seconds; where a video shows several people, `person` counts them from 1 on the left.
        portraits: What faces are drawn from.
        subjects: How many videos, each of one subject or of `options.people`.
        expressions: Of each person.
        seed: What all randomness is drawn from.
        options: Rate, length, strength of the motion, and what disturbs it.
        progress: Called after every second of video.

    Raises:
        MerError: The expressions do not fit.
        WriteError: A file cannot be written.
    """
    fps, seconds = options.fps or DEFAULT_FPS, options.seconds or DEFAULT_SECONDS
    people = subjects * options.people
    plans = [draw_long(options, fps, seconds, expressions, (seed, index, _FOR_EVENTS)) for index in range(people)]
    camera = make_camera(options, fps, (seed, 0, _FOR_NOISE))
    quality = FOR_MEASURING.crf if options.compression is None else options.compression
    encoding = replace(FOR_MEASURING, crf=quality)
    rows: list[dict[str, object]] = []
    for index in range(subjects):
        video, shown = f"s{index + 1:02d}.mp4", range(index * options.people, (index + 1) * options.people)
        frames = _beside(_filmed(portraits, plans[who], camera, seed, who, options) for who in shown)
        received = _lost(frames, options.lost, np.random.default_rng((seed, index, _FOR_LOST)))
        with VideoWriter(out / video, fps, encoding) as writer:
            for frame in _reported(received, plans[shown[0]], index, subjects, progress):
                writer.write(frame)
        for person, who in enumerate(shown, 1):
            more = {"person": person} if options.people > 1 else {}
            rows += [_row(video, who, plans[who], event, seed) | more for event in plans[who].events]
    write_truth(out / truth, pd.DataFrame(rows))


def _filmed(
    portraits: tuple[Portrait, Portrait], plan: LongPlan, camera: FilmCamera, seed: int, who: int, options: Options
) -> Frames:
    """One person."""
    rng = np.random.default_rng((seed, who, _FOR_SUBJECT))
    return render(make_subject(portraits, draw_traits(rng, options), rng), plan, camera, (seed, who, _FOR_FILM))


def _beside(films: Iterable[Frames]) -> Frames:
    """Films of one length side by side, the first on the left."""
    for pictures in zip(*films, strict=True):
        yield pictures[0] if len(pictures) == 1 else np.ascontiguousarray(np.hstack(pictures))


def _lost(frames: Frames, share: float, rng: np.random.Generator) -> Frames:
    """The same frames; some show the one before."""
    shown: Image | None = None
    for frame in frames:
        shown = frame if shown is None or rng.random() >= share else shown
        yield shown


def _reported(frames: Frames, plan: LongPlan, index: int, videos: int, progress: Progress) -> Frames:
    """The same frames; reports how many seconds of all videos are done."""
    whole, step = int(plan.n_frames / plan.fps), max(1, round(plan.fps))
    for done, frame in enumerate(frames, 1):
        yield frame
        if done % step == 0:
            progress("synth", index * whole + done // step, videos * whole, f"s{index + 1:02d}")


def _row(video: str, who: int, plan: LongPlan, event: PlannedEvent, seed: int) -> dict[str, object]:
    apex = (event.top + event.leave) // 2
    return {
        "video": video,
        "subject": f"{who + 1:02d}",
        "kind": event.kind,
        "emotion": event.emotion,
        "aus": event.aus,
        "onset_frame": event.start,
        "apex_frame": apex,
        "offset_frame": event.end,
        "onset_s": event.start / plan.fps,
        "apex_s": apex / plan.fps,
        "offset_s": event.end / plan.fps,
        "fps": plan.fps,
        "n_frames": plan.n_frames,
        "amplitude_px": event.amount if event.emotion else 0.0,
        "turn_deg": event.amount if event.kind == "turn" else 0.0,
        "seed": seed,
    }
