"""The options that several commands share, each written down once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.choices import GREATEST_FPS
from mer_pipeline.engines import ENGINES
from mer_pipeline.evaluation.protocols import protocol_help
from mer_pipeline.faces.detectors import DEFAULT, DETECTORS, FORMER

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on standard output.")]


def _with_fps(context: typer.Context, force: bool) -> bool:
    if force and context.params.get("fps") is None:
        raise typer.BadParameter("it says that --fps is right: give --fps")
    return force


Fps = Annotated[
    float | None,
    typer.Option(is_eager=True, min=1, max=GREATEST_FPS, help="Frames a second, for folders of frames."),
]


def _clock(text: str | float) -> float:
    from mer_pipeline.video.excerpt import clock_seconds

    try:
        return clock_seconds(str(text))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is {error}") from None


From = Annotated[
    float | None,
    typer.Option("--from", parser=_clock, metavar="TIME", help="Search from here on: 12.5, 00:12 or 1:02:03.5."),
]
To = Annotated[float | None, typer.Option("--to", parser=_clock, metavar="TIME", help="Search up to here.")]

Frames = Annotated[
    Path | None,
    typer.Option(
        metavar="OUT.csv|.parquet",
        help="Also write a row for each frame and face: pose, motion by region, blinks, expressions, under OpenFace's "
        "names where the meaning is the same.",
    ),
]


def _face(text: str) -> str:
    if text in ("largest", "all") or (text.isascii() and text.isdecimal() and int(text) > 0):
        return text
    raise typer.BadParameter(f"{text!r} is not largest, all or a number from 1")


Face = Annotated[
    str,
    typer.Option(
        "--face", callback=_face, metavar="largest|all|NUMBER",
        help="Whom to follow where several people are in view: the largest face at a time, each on their own, or one "
        "by the number that all gives.",
    ),
]  # fmt: skip
ForceFps = Annotated[
    bool,
    typer.Option("--force-fps", callback=_with_fps, help="Let --fps override the rate that a file states."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Worker processes; all cores where not given.")]
_ENGINES = "; ".join(f"{name}, {words}" for name, (words, _) in ENGINES.items())
EngineName = Annotated[str, typer.Option("--engine", help=f"What does the work: {_ENGINES}.")]
EngineOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--engine-option",
        metavar="KEY=VALUE",
        help="An option of the engine, such as partition=gpu or address=HOST:PORT; may be repeated.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**31, help="Of everything drawn at random.")]


def _known_detector(name: str | None) -> str | None:
    """Refuse a name that is not in the table, as a wrong command."""
    if name is not None and name not in (*DETECTORS, FORMER):
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(DETECTORS)}.")
    return name


DetectorName = Annotated[
    str | None,
    typer.Option(
        callback=_known_detector,
        metavar="|".join(DETECTORS),
        help=f"What finds faces, {DEFAULT} where not given: "
        + "; ".join(f"{name}, {kind.words}" for name, kind in DETECTORS.items())
        + ".",
        show_default=False,
    ),
]
CardDetector = Annotated[
    str | None,
    typer.Option(
        "--detector",
        callback=_known_detector,
        metavar="|".join(DETECTORS),
        help="What finds faces, in the place of what found those of the training clips.",
        show_default=False,
    ),
]
PredictorFile = Annotated[
    Path | None,
    typer.Option(
        "--predictor", help="dlib's file of 68 points; MER_DLIB_PREDICTOR where not given.", show_default=False
    ),
]
FaceModelFile = Annotated[
    Path | None,
    typer.Option(
        "--face-model",
        metavar="FILE.task",
        help="A face_landmarker.task of your own, in the place of the models of mer setup.",
        show_default=False,
    ),
]
HeldOut = Annotated[str, typer.Option(help=protocol_help())]
Labels = Annotated[
    str | None,
    typer.Option("--labels", help="Label set, such as megc3, or a .toml file with your own; the dataset's by default."),
]
OldLabels = Annotated[str | None, typer.Option("--protocol-labels", hidden=True)]  # the former name of --labels
RawFolder = Annotated[Path, typer.Argument(help="The dataset's folder as it was handed out.")]
Dataset = Annotated[str, typer.Option(help="Which dataset it is; auto recognises it from the layout.")]
Corrected = Annotated[
    bool, typer.Option("--corrections/--no-corrections", help="Correct known mistakes of the sheet; each is reported.")
]
