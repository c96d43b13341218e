"""Many long videos: each spotted on its own, one bad video stops none of the others; judged against a truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_pipeline.datasets.long_videos import LongTruth, LongVideo, read_long
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.progress import Progress, silent
from mer_pipeline.spotting.agreement import Agreement, Marked, agreement, to_marks
from mer_pipeline.spotting.everyone import FaceChoice
from mer_pipeline.spotting.lvqa import alone
from mer_pipeline.spotting.result import Spotting
from mer_pipeline.spotting.score import SpotScore
from mer_pipeline.spotting.video import spot_people
from mer_pipeline.spotting.watch import OnFace
from mer_pipeline.video import Window


@dataclass(frozen=True)
class SpottingResults:
    """What was found in several videos.

    Attributes:
        videos: In the order given, each once for every person who was asked for; one with an `error` has no intervals.
        agreement: With the truth; None where nothing was to judge against.
        truth: Of each video, in the same order.
        warnings: What is true of the set as a whole.
    """

    videos: list[Spotting]
    agreement: Agreement | None = None
    warnings: tuple[str, ...] = ()
    truth: tuple[LongVideo, ...] = ()

    @property
    def scores(self) -> dict[str, SpotScore] | None:
        """By `micro`, `macro` and `all`; None where nothing was to judge against."""
        return None if self.agreement is None else self.agreement.scores


def spot_videos(
    videos: Sequence[Path],
    *,
    fps: float | None = None,
    force_fps: bool = False,
    truth: Path | None = None,
    face: FaceChoice = "largest",
    window: Window | None = None,
    detector: Detector | None = None,
    progress: Progress = silent,
    compared: bool = False,
    on_face: OnFace | None = None,
) -> SpottingResults:
    """Spot every expression of several videos.

    Args:
        videos: Files or folders of frames; with a truth, none for all that it knows.
        fps: The rate of media that do not say theirs.
        force_fps: Let `fps` override what the media say.
        truth: See `read_long`.
        face: Which faces, as in `spot_people`; with a truth, the largest.
        window: Where to search; not with a truth, which is of whole videos.
        detector: Finds faces; None for Face Mesh.
        progress: Called after every second of video.
        on_face: See `spot_people`; for one video.
        compared: Whether each video's answers are compared with what is usual in the others.

    Raises:
        MerError: The truth cannot be read or does not know a video, or there is nothing to compare with.
    """
    known = None if truth is None else read_long(truth, videos[0] if len(videos) == 1 else None)
    wanted = [LongVideo(video, None) for video in videos] if known is None else _chosen(videos, known)
    if compared and len(wanted) < 2:
        raise alone()
    with (detector or Detector()).open() as find_faces:
        found: list[Spotting] = []
        for each in wanted:
            try:
                found += spot_people(
                    each.video, face=face, fps=fps or each.fps, force_fps=force_fps or fps is None, window=window,
                    progress=progress, find_faces=find_faces, on_face=on_face,
                )  # fmt: skip
            except MerError as error:
                found.append(Spotting(str(each.video), fps or each.fps or 0.0, 0, error=str(error)))
    if known is None:
        return SpottingResults(found)
    # A video that could not be read counts with all its expressions missed: leaving it out would flatter.
    agreed = agreement(
        Marked(each.marks, to_marks(spotting), spotting.frames, spotting.fps or each.fps or 1.0)
        for spotting, each in zip(found, wanted, strict=True)
    )
    return SpottingResults(found, agreed, known.warnings, tuple(wanted))


def _chosen(videos: Sequence[Path], truth: LongTruth) -> list[LongVideo]:
    if not videos:
        return list(truth.videos)
    by_path = {each.video.resolve(): each for each in truth.videos}
    for video in videos:
        if video.resolve() not in by_path:
            fix = f"it has {truth.videos[0].video} and others"
            raise MerError("the truth does not know this video", where=video, fix=fix)
    return [by_path[video.resolve()] for video in videos]
