"""`mer predict CLIP... --model RUN`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mer_pipeline.cli import flags
from mer_pipeline.cli.batch import clips_of, predict_batch
from mer_pipeline.cli.common import (
    card_detector,
    check_outputs,
    chosen_engine,
    chosen_face,
    progress_bar,
    say_note,
    say_warning,
)
from mer_pipeline.cli.predicted import say_model, say_results
from mer_pipeline.errors import MerError, WriteError

if TYPE_CHECKING:
    from mer_pipeline.engines import Engine
    from mer_pipeline.faces.detectors import Detector
    from mer_pipeline.figures.prediction_files import PredictionFiles
    from mer_pipeline.inference import ClipResult, Predictor
    from mer_pipeline.inference.many import Settings
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
Slow = Annotated[
    float | None,
    typer.Option(min=1, max=100, help="So many times slower, for --overlay: 10 at 200 fps; without sound."),
]
Magnify = Annotated[
    float | None,
    typer.Option(min=1, max=20, help="Draw the motion of micro-expressions so many times larger, for --overlay."),
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
Processes = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="So many clips at a time, each in a process; one where not given."),
]
CameraSource = Annotated[
    str | None,
    typer.Option(help="Watch a camera (0, 1, ...), or a file that is played like one, instead.", show_default=False),
]


# By their names in the signature, in which `--all` is another word.
_FOR_CLIPS = ("onset", "apex", "every", "overlay", "image", "report", "neutral", "slow", "magnify")


def predict(
    context: typer.Context,
    clips: Clips = None,
    model: Model = None,
    onset: Onset = None,
    apex: Apex = None,
    fps: flags.Fps = None,
    aus: Aus = "predicted",
    confidence: Confidence = None,
    every: Every = None,
    start: flags.From = None,
    end: flags.To = None,
    face: flags.Face = "largest",
    neutral: NeutralTexts = None,
    force_fps: flags.ForceFps = False,
    macro: Macro = False,
    table: Table = None,
    report: Report = None,
    frames: flags.Frames = None,
    overlay: Overlay = None,
    slow: Slow = None,
    magnify: Magnify = None,
    image: Picture = None,
    camera: CameraSource = None,
    detector: flags.CardDetector = None,
    predictor: flags.PredictorFile = None,
    face_model: flags.FaceModelFile = None,
    jobs: Processes = None,
    engine: flags.EngineName = "local",
    engine_option: flags.EngineOptions = None,
    device: flags.Device = "auto",
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
) -> None:
    """Find face, onset, apex and offset in clips, and their Action Units and emotions.

    Exit code 0: every clip has a result; 1: at least one has none, each reported in one line; 2: wrong usage.
    """
    from mer_pipeline.inference import Predictor
    from mer_pipeline.inference.neutral import Neutral
    from mer_pipeline.video import Window

    _check_usage(context.params)
    shared = _engine(engine, jobs, engine_option, drawn=(camera, overlay, image, report, frames))
    files = clips_of(clips or [])
    made = _settings(model, device, aus, confidence, card_detector(detector, predictor, face_model))
    _check_frames(frames, len(files or [camera]) == 1 and (onset, apex, report) == (None, None, None))
    baseline = Neutral.of(neutral) if neutral else None
    outputs = {"--csv": table, "--report": report, "--frames": frames, "--overlay": overlay, "--image": image}
    check_outputs(outputs, [*files, *(baseline.files if baseline else ())])
    out = _Outputs.of(files, outputs, slow, magnify, shared=shared is not None)
    options: dict[str, Any] = {
        "face": chosen_face(face), "onset_frame": onset, "apex_frame": apex, "fps": fps, "force_fps": force_fps,
        "every": every, "macro": macro, "neutral": baseline, "window": Window(start, end),
    }  # fmt: skip
    with Predictor(model, device, aus=aus, confidence=confidence, detector=made.detector) as loaded:
        say_model(loaded, quiet)
        results = _predicted(loaded, files or camera, options, out, quiet, shared, made)
    out.write(results)
    say_results(results, [*out.pictures.written, *(path for path in (table, frames, report) if path)], as_json)


def _settings(
    model: Path | None, device: str, aus: str, confidence: float | None, detector: Detector | None
) -> Settings:
    from mer_pipeline.inference.many import Settings

    return Settings(None if model is None else str(model), device, aus, confidence, detector)


def _engine(name: str, jobs: int | None, options: list[str] | None, drawn: tuple[object, ...]) -> Engine | None:
    """What predicts in other processes, if anything shall."""
    if jobs is None and name == "local":
        return None
    if any(given is not None for given in drawn):
        raise typer.BadParameter(
            "--jobs and --engine are for answers and --csv, without --overlay, --image, --report, --frames and --camera"
        )
    return chosen_engine(name, jobs, options)


def _check_frames(frames: Path | None, fits: bool) -> None:
    if frames is not None and not fits:
        raise typer.BadParameter("one table holds one clip whose key frames are spotted", param_hint="--frames")


@dataclass(frozen=True)
class _Outputs:
    """What is to be written.

    Attributes:
        table, report: Files.
        rows: The table of frames.
        pictures: Overlays and pictures of expressions.
        batched: Whether clips are a batch, which can be interrupted.
        magnified: Whether micro-expressions shall be magnified.
    """

    table: Path | None
    report: Path | None
    rows: FrameTable | None
    pictures: PredictionFiles
    batched: bool
    magnified: bool

    @classmethod
    def of(
        cls,
        files: list[Path],
        outputs: Mapping[str, Path | None],
        slow: float | None,
        magnify: float | None,
        shared: bool,
    ) -> _Outputs:
        """Check the names of files, given by option; `shared` where other processes predict."""
        from mer_pipeline.figures.prediction_files import PredictionFiles
        from mer_pipeline.spotting.frame_table import FrameTable

        table, report, frames, overlay, image = outputs.values()
        many = table is not None and len(files) > 1 and not (overlay or image or shared)
        rows = None if frames is None else FrameTable(frames)
        pictures = PredictionFiles(overlay, image, len(files), slow=slow or 1.0, magnify=magnify or 1.0)
        return cls(table, report, rows, pictures, report is not None or many, magnify is not None)

    def write(self, results: list[ClipResult]) -> None:
        """The tables; that of a batch has been written."""
        from mer_pipeline.inference import write_csv

        if self.magnified and not any(each.kind != "macro" for result in results for each in result.expressions):
            say_warning("--magnify: there is no micro-expression to magnify")
        if self.pictures.draws_expressions and not any(path.suffix.lower() == ".png" for path in self.pictures.written):
            say_warning("--image: there is no expression to show, and no picture was written")
        if self.table is not None and not self.batched:
            write_csv(self.table, results)
        if self.rows is not None and not any(result.error for result in results):
            self.rows.write(with_aus=True)


def _predicted(
    loaded: Predictor,
    files: list[Path] | str | None,
    options: dict[str, Any],
    out: _Outputs,
    quiet: bool,
    shared: Engine | None,
    made: Settings,
) -> list[ClipResult]:
    """The results of all clips, or of what a camera sees."""
    from mer_pipeline.inference.many import PredictedAhead

    if not isinstance(files, list):
        fps, force_fps, macro = (options[name] for name in ("fps", "force_fps", "macro"))
        return [_watch(loaded, files or "", fps, force_fps, macro, quiet, out.rows)]
    if shared is not None:
        ahead = PredictedAhead(shared, made, files, options)
        return _predict_clips(files, ahead, lambda *_, **__: None, quiet)
    predict_clip = functools.partial(loaded.people, **options)
    if out.batched:
        neutral = options["neutral"]
        depends = {**options, "predictor": made, "neutral_files": neutral and neutral.fingerprint()}
        settings = {name: str(value) for name, value in depends.items()}
        return predict_batch(files, predict_clip, loaded, settings, table=out.table, report=out.report, quiet=quiet)
    pictures = out.pictures
    draw = pictures.on_expression if pictures.draws_expressions else None
    predict_clip = functools.partial(predict_clip, frames=out.rows, on_expression=draw)
    return _predict_clips(files, predict_clip, functools.partial(pictures.finish, predictor=loaded), quiet)


def _check_usage(params: Mapping[str, object]) -> None:
    given = {name for name in _FOR_CLIPS if params[name] not in (None, [], ())}
    key_frames, camera = given & {"onset", "apex"}, params["camera"]
    if bool(params["clips"]) == (camera is not None):
        raise typer.BadParameter("give clips, or --camera")
    if camera is not None and given:
        names = ", ".join("--all" if name == "every" else f"--{name}" for name in _FOR_CLIPS)
        raise typer.BadParameter(f"{names} are for clips, not for --camera")
    if params["face"] != "largest" and (key_frames or camera or "neutral" in given):
        raise typer.BadParameter("--face is for clips whose key frames are spotted, without --neutral")
    if (params["start"], params["end"]) != (None, None) and (key_frames or camera or "overlay" in given):
        raise typer.BadParameter("--from and --to are for clips whose key frames are spotted, without --overlay")
    if given & {"slow", "magnify"} and "overlay" not in given:
        raise typer.BadParameter("--slow and --magnify are for --overlay")
    if "report" in given and given & {"overlay", "image"}:
        raise typer.BadParameter("the page has pictures of its own: leave --overlay and --image out")


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
