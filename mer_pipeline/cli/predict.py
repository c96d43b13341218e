"""`mer predict CLIP... --model RUN`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mer_pipeline.cli.batch import clips_of, predict_batch
from mer_pipeline.cli.common import (
    CardDetector,
    Device,
    Face,
    FaceModelFile,
    ForceFps,
    Fps,
    Frames,
    From,
    Json,
    PredictorFile,
    Quiet,
    To,
    card_detector,
    chosen_face,
    progress_bar,
    say,
    say_error,
    say_json,
    say_note,
    say_table,
    say_warning,
)
from mer_pipeline.errors import MerError, WriteError

if TYPE_CHECKING:
    from mer_pipeline.figures.prediction_files import PredictionFiles
    from mer_pipeline.inference import ClipResult, Expression, Predictor, Unclassified
    from mer_pipeline.spotting.frame_table import FrameTable

Clips = Annotated[
    list[Path] | None,
    typer.Argument(metavar="CLIP...", help="Videos, folders of frames, or a folder of these.", show_default=False),
]
Model = Annotated[
    Path | None,
    typer.Option(
        help="A run folder, one of its folds, a weights file, an ONNX file, or latest for the newest run in runs/; the "
        "model that ships with mer if not given.",
        show_default=False,
    ),
]
Aus = Annotated[
    str, typer.Option(help="Action Units that the network is given: predicted (its own), none, or yours: 4+R14.")
]
Confidence = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Emotions less probable than this are marked as uncertain; by default those with another likely one.",
        show_default=False,
    ),
]


Onset = Annotated[int | None, typer.Option(min=0, help="Onset frame, counted from 0; spotted where not given.")]
Apex = Annotated[int | None, typer.Option(min=0, help="Apex frame, counted from 0; spotted where not given.")]
NeutralTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--neutral",
        metavar="FILE|FROM:TO",
        help="Read expressions against the face at rest in a film, or in seconds of the clip (2:4.5), and not against "
        "their onset; may be repeated for more of one person.",
    ),
]
Every = Annotated[
    bool | None,
    typer.Option("--all/--strongest", help="Every expression or one; by default one in clips of up to 3 s."),
]
Macro = Annotated[bool, typer.Option("--macro", help="Classify macro-expressions, too; else they are listed.")]
Table = Annotated[Path | None, typer.Option("--csv", help="Also write a table here, one row an expression.")]
Overlay = Annotated[
    Path | None, typer.Option(help="Also write the video with face, expressions and motion drawn in (.mp4).")
]
Picture = Annotated[Path | None, typer.Option(help="Also write a picture of each expression (.png).")]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="PAGE.html",
        help="Also write a page of all clips: thumbnails, filters, and links to a sheet of each expression, in a "
        "folder beside it. The same command goes on after an interruption.",
    ),
]
Camera = Annotated[
    str | None,
    typer.Option(help="Watch a camera (0, 1, ...), or a file that is played like one, instead.", show_default=False),
]


def predict(
    clips: Clips = None,
    model: Model = None,
    onset: Onset = None,
    apex: Apex = None,
    fps: Fps = None,
    aus: Aus = "predicted",
    confidence: Confidence = None,
    every: Every = None,
    start: From = None,
    end: To = None,
    face: Face = "largest",
    neutral: NeutralTexts = None,
    force_fps: ForceFps = False,
    macro: Macro = False,
    table: Table = None,
    report: Report = None,
    frames: Frames = None,
    overlay: Overlay = None,
    image: Picture = None,
    camera: Camera = None,
    detector: CardDetector = None,
    predictor: PredictorFile = None,
    face_model: FaceModelFile = None,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find face, onset, apex and offset in clips, and their Action Units and emotions.

    Exit code 0: every clip has a result; 1: at least one has none, each reported in one line; 2: wrong usage.
    """
    from mer_pipeline.inference import Predictor
    from mer_pipeline.inference.neutral import Neutral

    _check_usage(
        clips, {"onset": onset, "apex": apex, "all": every, "overlay": overlay, "image": image, "report": report,
         "neutral": neutral or None},
        camera, face, (start, end),
    )  # fmt: skip
    files = clips_of(clips or [])
    key_frames = onset is not None or apex is not None
    if frames is not None and (len(files or [camera]) != 1 or key_frames or report):
        raise typer.BadParameter("one table holds one clip whose key frames are spotted", param_hint="--frames")
    out = _Outputs.of(files, table, frames, report, overlay, image)
    options: dict[str, Any] = {
        "face": chosen_face(face), "onset_frame": onset, "apex_frame": apex, "fps": fps, "force_fps": force_fps,
        "every": every, "macro": macro,
    }  # fmt: skip
    rest = Neutral.of(neutral) if neutral else None
    chosen = card_detector(detector, predictor, face_model)
    with Predictor(model, device, aus=aus, confidence=confidence, detector=chosen) as loaded:
        _say_model(loaded, quiet)
        if camera is not None:
            results = [_watch(loaded, camera, fps, force_fps, macro, quiet, out.rows)]
        else:
            settings = {"aus": aus, "confidence": confidence, "neutral": neutral}
            results = _predicted(loaded, files, {**options, "neutral": rest}, (start, end), settings, out, quiet)
    out.write(results)
    _end(results, [*out.pictures.written, *(path for path in (table, frames, report) if path)], as_json)


@dataclass(frozen=True)
class _Outputs:
    """What is to be written.

    Attributes:
        table, report: Files.
        rows: The table of frames.
        pictures: Overlays and pictures of expressions.
        batched: Whether clips are a batch, which can be interrupted.
    """

    table: Path | None
    report: Path | None
    rows: FrameTable | None
    pictures: PredictionFiles
    batched: bool

    @classmethod
    def of(
        cls,
        files: list[Path],
        table: Path | None,
        frames: Path | None,
        report: Path | None,
        overlay: Path | None,
        image: Path | None,
    ) -> _Outputs:
        """Check the names of files."""
        from mer_pipeline.figures.prediction_files import PredictionFiles
        from mer_pipeline.spotting.frame_table import FrameTable

        batched = report is not None or (table is not None and len(files) > 1 and not (overlay or image))
        rows = None if frames is None else FrameTable(frames)
        return cls(table, report, rows, PredictionFiles(overlay, image, len(files)), batched)

    def write(self, results: list[ClipResult]) -> None:
        """The tables; that of a batch has been written."""
        from mer_pipeline.inference import write_csv

        if self.table is not None and not self.batched:
            write_csv(self.table, results)
        if self.rows is not None and not any(result.error for result in results):
            self.rows.write(with_aus=True)


def _predicted(
    loaded: Predictor,
    files: list[Path],
    options: dict[str, Any],
    window: tuple[float | None, float | None],
    settings: dict[str, Any],
    out: _Outputs,
    quiet: bool,
) -> list[ClipResult]:
    """The results of all clips."""
    from mer_pipeline.video import Window

    predict_clip = functools.partial(loaded.people, **options, window=Window(*window))
    if out.batched:
        settings = {**options, **settings, "window": window}
        return predict_batch(files, predict_clip, loaded, settings, table=out.table, report=out.report, quiet=quiet)
    pictures = out.pictures
    draw = pictures.on_expression if pictures.draws_expressions else None
    predict_clip = functools.partial(predict_clip, frames=out.rows, on_expression=draw)
    return _predict_clips(files, predict_clip, functools.partial(pictures.finish, predictor=loaded), quiet)


def _check_usage(
    clips: list[Path] | None,
    for_clips: Mapping[str, object],
    camera: str | None,
    face: str,
    window: tuple[float | None, float | None],
) -> None:
    given = {name for name, value in for_clips.items() if value is not None}
    key_frames = given & {"onset", "apex"}
    if bool(clips) == (camera is not None):
        raise typer.BadParameter("give clips, or --camera")
    if camera is not None and given:
        names = ", ".join(f"--{name}" for name in for_clips)
        raise typer.BadParameter(f"{names} are for clips, not for --camera")
    if face != "largest" and (key_frames or camera or "neutral" in given):
        raise typer.BadParameter("--face is for clips whose key frames are spotted, without --neutral")
    if window != (None, None) and (key_frames or camera or "overlay" in given):
        raise typer.BadParameter("--from and --to are for clips whose key frames are spotted, without --overlay")
    if "report" in given and given & {"overlay", "image"}:
        raise typer.BadParameter("the page has pictures of its own: leave --overlay and --image out")


def _end(results: list[ClipResult], written: list[Path], as_json: bool) -> None:
    """Print the results; report what could not be read, and exit with 1 where there was any."""
    if as_json:
        say_json([result.as_json() for result in results])
    else:
        _print(results, written)
    failed = [result for result in results if result.error]
    for result in failed:
        say_error(MerError(result.error or ""))
    if failed:
        raise typer.Exit(1)


def _say_model(loaded: Predictor, quiet: bool) -> None:
    """Which model answers, and how well it finds Action Units."""
    for said in (loaded.model.name, loaded.card.au_words):
        if said and not quiet:
            say_note(said)


def _predict_clips(
    clips: list[Path], predict_clip: Callable[..., list[ClipResult]], finish: Callable[..., None], quiet: bool
) -> list[ClipResult]:
    """The results of each clip; that of a clip that cannot be read says why."""
    from mer_pipeline.inference import ClipResult

    results: list[ClipResult] = []
    with progress_bar(quiet, "") as progress:
        for done, clip in enumerate(clips, 1):
            try:
                found = predict_clip(clip, progress=progress)
                finish(found[0], others=found[1:], progress=progress)
            except WriteError:
                raise
            except MerError as error:
                found = [ClipResult(str(clip), error=str(error))]
            results += found
            progress("predict", done, len(clips), clip.name)
    return results


def _watch(
    predictor: Predictor,
    camera: str,
    fps: float | None,
    force_fps: bool,
    macro: bool,
    quiet: bool,
    frames: FrameTable | None,
) -> ClipResult:
    from mer_pipeline.cli.live import run_camera, speed_line

    result, state = run_camera(predictor, camera, fps, force_fps, macro, quiet, frames)
    say_note(speed_line(state))
    return result


def _print(results: list[ClipResult], written: list[Path]) -> None:
    from mer_pipeline.spotting.result import events_in_words

    rows = [row for result in results for row in _rows(result)]
    if rows:
        say_table("", ("clip", "onset, apex, offset", "kind", "emotion", "Action Units"), rows)
    for result in results:
        if not result.error and not result.expressions:
            say(f"{result.name}: no micro-expression found")
        if result.events:
            say(f"{result.name}: no expressions: {events_in_words(result.events)}")
        for warning in result.warnings:
            say_warning(f"{result.name}: {warning}")
    for path in written:
        say(f"wrote {path}")


def _kind(found: Expression | Unclassified) -> str:
    """Its kind, how long it lasts, and what makes it doubtful."""
    lasts = "" if found.offset_s is None or found.onset_s is None else f" {found.offset_s - found.onset_s:.2f} s"
    flags = [flag for flag in found.flags if flag != "not spotted"]
    return f"{found.kind or '?'}{lasts}{' (' + ', '.join(flags) + ')' if flags else ''}"


def _rows(result: ClipResult) -> list[tuple[object, ...]]:
    rows: list[tuple[Expression | Unclassified, str, str]] = []
    for found in result.expressions:
        if found.verdict == "no micro-expression":
            why = "nothing was spotted" if "not spotted" in found.flags else f"{found.emotion} {found.probability:.2f}"
            rows.append((found, f"no expression: {why}", ""))
            continue
        doubt = "uncertain: " if found.verdict == "uncertain" else ""
        likely = ", ".join(f"{number} ({p:.2f})" for number, p in found.likely_aus())
        likely = likely or ("none above 0.5" if found.aus else "not estimated")
        likely += f"; given {found.aus_given}" if found.aus_given else ""
        others = f" or {', '.join(found.likely[1:])}" if found.verdict == "uncertain" and found.likely[1:] else ""
        rows.append((found, f"{doubt}{found.emotion} {found.probability:.2f}{others}", likely))
    rows += [(rest, f"{rest.kind}-expression, not judged", "") for rest in result.unclassified]
    rows.sort(key=lambda row: row[0].onset_frame)
    name = Path(result.name).name
    return [
        (
            name,
            f"{at.onset_frame}, {at.apex_frame}, {'?' if at.offset_frame is None else at.offset_frame}",
            _kind(at),
            *texts,
        )
        for at, *texts in rows
    ]
