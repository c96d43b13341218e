"""`mer spot VIDEO...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mer_pipeline.cli.common import (
    DetectorName,
    FaceModelFile,
    ForceFps,
    Fps,
    Json,
    PredictorFile,
    Quiet,
    progress_bar,
    say,
    say_error,
    say_json,
    say_table,
    say_warning,
)
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import DEFAULT, choose_detector

if TYPE_CHECKING:
    from mer_pipeline.inference.naming import Named
    from mer_pipeline.spotting.agreement import Agreement
    from mer_pipeline.spotting.result import Spotting

_COLUMNS = ("kind", "onset", "apex", "offset", "at s", "lasts s", "px", "flags")
_LEVELS, _WIDTH = " ▁▂▃▄▅▆▇█", 96


def spot(
    videos: Annotated[
        list[Path] | None, typer.Argument(metavar="VIDEO...", help="Videos or folders of frames.")
    ] = None,
    evaluate: Annotated[
        Path | None,
        typer.Option(
            metavar="TRUTH",
            help="Judge by the MEGC rule, with agreement over frames and errors in ms, against the raw folder of a set "
            "of long videos, a synthetic set, or what a coder marked (.eaf, BORIS's table, or a folder of films with "
            "them); without VIDEO, all of its videos. Where VIDEO is another coder's file, the coders are compared.",
        ),
    ] = None,
    fps: Fps = None,
    force_fps: ForceFps = False,
    detector: DetectorName = None,
    predictor: PredictorFile = None,
    face_model: FaceModelFile = None,
    aus: Annotated[bool, typer.Option("--aus", help="Also name the Action Units of every interval.")] = False,
    eaf: Annotated[Path | None, typer.Option(metavar="OUT.eaf", help="Write an annotation file for ELAN.")] = None,
    boris: Annotated[Path | None, typer.Option(metavar="OUT.csv", help="Write a table of events for BORIS.")] = None,
    vtt: Annotated[Path | None, typer.Option(metavar="OUT.vtt", help="Write subtitles for any player.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find every micro- and macro-expression in videos of any length."""
    if not videos and evaluate is None:
        raise typer.BadParameter("give at least one video, or --evaluate TRUTH", param_hint="VIDEO...")
    written = _outputs((eaf, ".eaf"), (boris, ".csv"), (vtt, ".vtt"))
    if evaluate is not None and videos and len(videos) == 1 and videos[0].suffix.lower() in (".eaf", ".csv", ".tsv"):
        _compare(evaluate, videos[0], as_json)
        return
    from mer_pipeline.inference.naming import name_intervals, with_names
    from mer_pipeline.spotting.evaluate import spot_videos

    with progress_bar(quiet, resume="") as progress:
        chosen = choose_detector(detector or DEFAULT, predictor, face_model=face_model)
        result = spot_videos(
            videos or [], fps=fps, force_fps=force_fps, truth=evaluate, detector=chosen, progress=progress
        )
    named = {id(each): name_intervals(each, chosen) for each in result.videos if aus and not each.error}
    _write(result.videos, named, written)
    if as_json:
        entries = [with_names(each, named[id(each)]) if id(each) in named else each.as_json() for each in result.videos]
        say_json(entries if result.agreement is None else {"videos": entries, **_agreement_json(result.agreement)})
    else:
        for spotting in result.videos:
            _show(spotting, named.get(id(spotting)))
        if result.agreement is not None:
            _show_agreement(result.agreement)
    for text in result.warnings:
        say_warning(text)
    failed = [MerError(spotting.error) for spotting in result.videos if spotting.error]
    for error in failed:
        say_error(error)
    if failed:
        raise typer.Exit(1)


def _outputs(*named: tuple[Path | None, str]) -> list[Path]:
    """The files to write, each with the ending that its option asks for."""
    for path, ending in named:
        if path is not None and path.suffix.lower() != ending:
            raise typer.BadParameter(
                f"{path} does not end in {ending}", param_hint="--boris" if ending == ".csv" else f"--{ending[1:]}"
            )
    return [path for path, _ in named if path is not None]


def _write(videos: list[Spotting], named: dict[int, list[Named]], paths: list[Path]) -> None:
    """Write what was spotted for coders' tools."""
    from mer_pipeline.datasets.coders import Coding, write_codings
    from mer_pipeline.spotting.agreement import to_marks

    codings = []
    for each in videos:
        names = named.get(id(each), [])
        emotions = [name.emotion if name.emotion != "none" else "" for name in names]
        aus = ["+".join(sorted(name.aus, key=int)) for name in names]
        if not each.error:
            codings.append(Coding(Path(each.video), each.fps, to_marks(each, emotions, aus), each.frames))
    for path in paths:
        write_codings(path, codings)


def _compare(first: Path, second: Path, as_json: bool) -> None:
    """Two coders' files."""
    from mer_pipeline.spotting.agreement import coders_agree

    agreed, warnings = coders_agree(first, second)
    if as_json:
        say_json({"videos": [], **_agreement_json(agreed)})
    else:
        _show_agreement(agreed)
    for text in warnings:
        say_warning(text)


def _agreement_json(agreed: Agreement) -> dict[str, object]:
    scores = {kind: each.as_json() for kind, each in agreed.scores.items()}
    return {"evaluation": scores, "agreement": agreed.as_json()}


def _show_agreement(agreed: Agreement) -> None:
    names = ("tp", "fp", "fn", "precision", "recall", "f1")
    scores = {kind: each.as_json() for kind, each in agreed.scores.items()}
    kappa = {"all" if kind == "any" else kind: value for kind, value in agreed.kappa.items()}
    rows = [
        (kind, *(each[name] for name in names), "" if kappa[kind] is None else f"{kappa[kind]:.3f}")
        for kind, each in scores.items()
    ]
    say_table("IoU of at least 0.5, summed over all videos; kappa over frames", ("kind", *names, "kappa"), rows)
    for point, error in agreed.errors.items():
        say(
            f"{point}: {error.mean_ms:+.0f} ms on average, {error.absolute_ms:.0f} ms off, in {error.intervals} matches"
        )


def _show(spotting: Spotting, named: list[Named] | None) -> None:
    from mer_pipeline.spotting.result import events_in_words

    if spotting.error:
        return
    name = Path(spotting.video).name
    rows = [
        (
            each.kind, each.onset_frame, each.apex_frame, each.offset_frame,
            f"{each.onset_s:.2f}", f"{each.offset_s - each.onset_s:.2f}", f"{each.strength:.1f}", ", ".join(each.flags),
        )
        for each in spotting.intervals
    ]  # fmt: skip
    if rows and named is None:
        say_table(name, _COLUMNS, rows)
    elif rows:
        # The columns of the frames, and what moved: all of them would not fit a terminal.
        known = zip(rows, named or (), strict=True)
        say_table(
            name,
            (*_COLUMNS[:4], "group", "Action Units"),
            [
                (*row[:4], f"{each.emotion} {each.probability:.2f}" if each.emotion else "", each.words)
                for row, each in known
            ],
        )
    micro = sum(each.kind == "micro" for each in spotting.intervals)
    seconds = spotting.frames / spotting.fps
    say(f"{name}: {micro} micro- and {len(rows) - micro} macro-expressions in {seconds:.1f} s")
    if spotting.events:
        say("no expressions: " + events_in_words(spotting.events))
    if rows:
        for line in _timeline(spotting):
            say(line)
    for warning in spotting.warnings:
        say_warning(f"{spotting.video}: {warning}")


def _timeline(spotting: Spotting) -> tuple[str, str]:
    """How the skin moves over the video, and below it where micro- (|) and macro-expressions (=) lie."""
    seconds, energy = spotting.timeline.seconds, spotting.timeline.energy
    width = min(_WIDTH, len(energy))
    tops = [energy[at * len(energy) // width : (at + 1) * len(energy) // width] for at in range(width)]
    heights = [max((float(value) for value in part if value == value), default=0.0) for part in tops]  # NaN: no face
    most = max(*heights, 1e-9)
    curve = "".join(_LEVELS[round(height / most * (len(_LEVELS) - 1))] for height in heights)
    marks, end = [" "] * width, float(seconds[-1]) + 1e-9
    for each in spotting.intervals:
        first, last = (int(at / end * (width - 1)) for at in (each.onset_s, each.offset_s))
        marks[first : last + 1] = ("|" if each.kind == "micro" else "=") * (last - first + 1)
    return curve, "".join(marks).rstrip()
