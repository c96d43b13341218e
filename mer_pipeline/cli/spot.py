"""`mer spot VIDEO...`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mer_pipeline.choices import TRUTH
from mer_pipeline.cli import flags
from mer_pipeline.cli.common import check_outputs, chosen_face, progress_bar, say_error, say_json, say_warning
from mer_pipeline.cli.spotted import agreement_json, show_agreement, show_answers, show_spotting, show_strs
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import DEFAULT, choose_detector

if TYPE_CHECKING:
    from mer_pipeline.datasets.coders import Mark
    from mer_pipeline.inference.naming import Named
    from mer_pipeline.spotting.evaluate import SpottingResults
    from mer_pipeline.spotting.frame_table import FrameTable
    from mer_pipeline.spotting.result import Spotting
    from mer_pipeline.spotting.strs import Answer, Strs


Videos = Annotated[list[Path] | None, typer.Argument(metavar="VIDEO...", help="Videos or folders of frames.")]
Truth = Annotated[
    Path | None,
    typer.Option(
        metavar="TRUTH",
        help="Judge by the MEGC rule, with agreement over frames and errors in ms, against the raw folder of a set "
        "of long videos, a synthetic set, or what a coder marked (.eaf, BORIS's table, or a folder of films with "
        "them); without VIDEO, all of its videos. Where VIDEO is another coder's file, the coders are compared.",
    ),
]
Aus = Annotated[bool, typer.Option("--aus", help="Also name the Action Units of every interval.")]
Eaf = Annotated[Path | None, typer.Option(metavar="OUT.eaf", help="Write an annotation file for ELAN.")]
Boris = Annotated[Path | None, typer.Option(metavar="OUT.csv", help="Write a table of events for BORIS.")]
Vtt = Annotated[Path | None, typer.Option(metavar="OUT.vtt", help="Write subtitles for any player.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Let --eaf, --boris and --vtt replace files.")]
Submission = Annotated[
    Path | None,
    typer.Option(metavar="OUT.csv", help="Write the micro-expressions and their classes for the challenge."),
]
Str = Annotated[
    bool, typer.Option("--str", help="With --evaluate, score spotting and recognition; VIDEO may be such a .csv.")
]
Lvqa = Annotated[
    bool,
    typer.Option("--lvqa", help="With --evaluate, score answers about counts, kinds and Action Units."),
]
Official = Annotated[
    bool, typer.Option("--official", help="Also the score of the public scorer, which differs in six ways.")
]


def spot(
    videos: Videos = None,
    evaluate: Truth = None,
    fps: flags.Fps = None,
    force_fps: flags.ForceFps = False,
    detector: flags.DetectorName = None,
    predictor: flags.PredictorFile = None,
    face_model: flags.FaceModelFile = None,
    start: flags.From = None,
    end: flags.To = None,
    face: flags.Face = "largest",
    aus: Aus = False,
    eaf: Eaf = None,
    boris: Boris = None,
    vtt: Vtt = None,
    overwrite: Overwrite = False,
    frames: flags.Frames = None,
    submission: Submission = None,
    as_str: Str = False,
    as_official: Official = False,
    as_lvqa: Lvqa = False,
    as_json: flags.Json = False,
    quiet: flags.Quiet = False,
) -> None:
    """Find every micro- and macro-expression in videos of any length."""
    scored, window = as_str or as_official, (start, end)
    _check_usage(videos, evaluate, {"--str": as_str, "--official": as_official, "--lvqa": as_lvqa}, window, face)
    outputs = {"--eaf": eaf, "--boris": boris, "--vtt": vtt, "--frames": frames, "--submission": submission}
    written = _coders_files(outputs, videos, face)
    if evaluate is not None and videos and len(videos) == 1 and videos[0].suffix.lower() in (".eaf", ".csv", ".tsv"):
        _refuse_ignored(
            aus=aus, eaf=eaf, boris=boris, vtt=vtt, frames=frames, submission=submission, lvqa=as_lvqa, fps=fps,
            detector=detector, predictor=predictor, face_model=face_model,
        )  # fmt: skip
        _judge_file(evaluate, videos[0], scored, as_official, as_json)
        return
    table = _table(outputs, [*(videos or ()), *_files_of(evaluate)], [] if overwrite else written)
    from mer_pipeline.inference.naming import name_intervals
    from mer_pipeline.spotting.evaluate import spot_videos
    from mer_pipeline.video import Window

    with progress_bar(quiet, resume="") as progress:
        chosen = choose_detector(detector or DEFAULT, predictor, face_model=face_model)
        result = spot_videos(
            videos or [], fps=fps, force_fps=force_fps, truth=evaluate, face=chosen_face(face), window=Window(*window),
            detector=chosen, progress=progress, compared=as_lvqa, on_face=table.add if table else None,
        )  # fmt: skip
    naming = aus or scored or as_lvqa or submission is not None
    named = {id(each): name_intervals(each, chosen) for each in result.videos if naming and not each.error}
    shown = named if aus else {}
    if not as_json:  # before anything else may go wrong
        _show(result, shown)
    answered = _answers(result, named) if as_lvqa else {}
    submitted = _submitted(result, named) if scored or submission is not None else []
    scores = _challenge(result, submitted, as_official) if scored or submission is not None else {}
    _show_scores(result, shown, scores, answered, as_json)
    _write(result.videos, named, written, submission, submitted, whole=window == (None, None))
    _write_frames(table, result)
    _end(result)


def _show_scores(
    result: SpottingResults, named: dict[int, list[Named]], scores: dict[str, Strs], answered: Any, as_json: bool
) -> None:
    """What comes after the intervals; of JSON, all of it."""
    if as_json:
        say_json(_document(result, named, {**{name: score.as_json() for name, score in scores.items()}, **answered}))
    else:
        show_strs(scores)
        show_answers(answered)


def _document(result: SpottingResults, named: dict[int, list[Named]], challenge: dict[str, Any]) -> Any:
    """What `--json` prints."""
    from mer_pipeline.inference.naming import with_names

    entries = [with_names(each, named[id(each)]) if id(each) in named else each.as_json() for each in result.videos]
    agreed = {} if result.agreement is None else agreement_json(result.agreement)
    return {"videos": entries, **agreed, **challenge} if agreed else entries


def _write_frames(table: FrameTable | None, result: SpottingResults) -> None:
    """The table of frames; none of a film that could not be read."""
    from mer_pipeline.spotting.frame_table import FaceFrames

    if table is not None and not any(each.error for each in result.videos):
        table.faces += map(FaceFrames.of, result.videos)
        table.write()


def _show(result: SpottingResults, named: dict[int, list[Named]]) -> None:
    for spotting in result.videos:
        show_spotting(spotting, named.get(id(spotting)))
    if result.agreement is not None:
        show_agreement(result.agreement)


def _check_usage(
    videos: list[Path] | None,
    evaluate: Path | None,
    scores: Mapping[str, bool],
    window: tuple[float | None, float | None],
    face: str,
) -> None:
    if not videos and evaluate is None:
        raise typer.BadParameter("give at least one video, or --evaluate TRUTH", param_hint="VIDEO...")
    if any(scores.values()) and evaluate is None:
        given = ", ".join(option for option, wanted in scores.items() if wanted)
        raise typer.BadParameter("the score needs --evaluate TRUTH", param_hint=given)
    if evaluate is not None and window != (None, None):
        raise typer.BadParameter("a truth is of whole videos", param_hint="--from, --to")
    if evaluate is not None and face != "largest":
        raise typer.BadParameter("a truth is of one face a video", param_hint="--face")


def _coders_files(outputs: Mapping[str, Path | None], videos: list[Path] | None, face: str) -> list[Path]:
    """The files for coders' tools, each with its ending; what a file cannot hold is refused."""
    endings = {"--eaf": ".eaf", "--boris": ".csv", "--vtt": ".vtt"}
    given = {option: path for option in endings if (path := outputs[option]) is not None}
    for option, path in given.items():
        if path.suffix.lower() != endings[option]:
            raise typer.BadParameter(f"{path} does not end in {endings[option]}", param_hint=option)
    one_film = len(videos or ()) == 1
    if outputs["--frames"] and not one_film:
        raise typer.BadParameter("one table holds one film: give one VIDEO", param_hint="--frames")
    of_one = ", ".join(option for option in given if option != "--boris")
    if of_one and not one_film:
        raise typer.BadParameter("one file holds one film: give one VIDEO", param_hint=of_one)
    if of_one and face == "all":
        raise typer.BadParameter("one file holds one person: give --face 1", param_hint=of_one)
    return list(given.values())


def _files_of(truth: Path | None) -> Iterator[Path]:
    """What is read of a truth and could be taken for an output."""
    if truth is not None:
        yield truth
        if truth.is_dir():
            from mer_pipeline.datasets.films import coded_files

            yield truth / TRUTH
            yield from coded_files(truth)


def _table(outputs: Mapping[str, Path | None], inputs: list[Path], kept: list[Path]) -> FrameTable | None:
    """The table of frames, if it is wanted, once no file is lost by what is written; `kept` must not be there yet."""
    check_outputs(outputs, inputs)
    for path in kept:
        if path.exists():
            fix = "give another name, or --overwrite"
            raise MerError("is there already, and what was corrected in it would be lost", where=path, fix=fix)
    if (frames := outputs["--frames"]) is None:
        return None
    from mer_pipeline.spotting.frame_table import FrameTable

    return FrameTable(frames)


def _refuse_ignored(**given: object) -> None:
    """Where no film is spotted, nothing is to be named, written or searched."""
    names = ", ".join(f"--{name.replace('_', '-')}" for name, value in given.items() if value)
    if names:
        raise typer.BadParameter("this is for films, and a file of answers or of a coder is given", param_hint=names)


def _end(result: SpottingResults) -> None:
    """Report what went wrong, and exit with 1 where a video could not be read."""
    for text in result.warnings:
        say_warning(text)
    failed = [MerError(spotting.error) for spotting in result.videos if spotting.error]
    for error in failed:
        say_error(error)
    if failed:
        raise typer.Exit(1)


def _write(
    videos: list[Spotting],
    named: dict[int, list[Named]],
    paths: list[Path],
    submission: Path | None,
    submitted: list[Answer],
    *,
    whole: bool,
) -> None:
    """Write what was spotted for coders' tools and for the challenge: last, since a file may not be writable."""
    from mer_pipeline.datasets.coders import Coding, write_codings
    from mer_pipeline.spotting import strs

    codings = [
        Coding(
            Path(each.video), each.fps, _marks(each, named), each.frames if whole else None,
            "" if each.person is None else f"person {each.person}",
        )
        for each in videos
        if not each.error
    ]  # fmt: skip
    if not codings:
        return  # no film could be read, which is reported
    for path in paths:
        write_codings(path, codings)
    if submission is not None:
        strs.write_submission(submission, submitted)


def _marks(spotting: Spotting, named: dict[int, list[Named]]) -> tuple[Mark, ...]:
    """What was spotted, with what was read in it."""
    from mer_pipeline.spotting.agreement import to_marks

    names = named.get(id(spotting), [])
    emotions = [name.emotion if name.emotion != "none" else "" for name in names]
    return to_marks(spotting, emotions, ["+".join(sorted(name.aus, key=int)) for name in names])


def _answers(result: SpottingResults, named: dict[int, list[Named]]) -> dict[str, Any]:
    """Answers to the questions about long videos, and their scores beside those of the control."""
    from mer_pipeline.spotting import lvqa

    own = [lvqa.answers_from(_marks(each, named)) for each in result.videos]
    truth = [lvqa.answers_from(each.marks) for each in result.truth]
    usual = lvqa.priors(truth, [each.subject or str(each.video.parent) for each in result.truth])
    scores = {"scores": lvqa.score(own, truth), "priors_only": lvqa.score(usual, truth)}
    return {"lvqa": {"answers": [each.as_json() for each in own], **scores}}


def _judge_file(truth: Path, file: Path, scored: bool, official: bool, as_json: bool) -> None:
    """A file in the place of a film: the answers to the challenge, or what another coder marked."""
    if scored:
        _score_submission(truth, file, official, as_json)
    else:
        _compare(truth, file, as_json)


def _compare(first: Path, second: Path, as_json: bool) -> None:
    """Two coders' files."""
    from mer_pipeline.spotting.agreement import coders_agree

    agreed, warnings = coders_agree(first, second)
    if as_json:
        say_json({"videos": [], **agreement_json(agreed)})
    else:
        show_agreement(agreed)
    for text in warnings:
        say_warning(text)


def _submitted(result: SpottingResults, named: dict[int, list[Named]]) -> list[Answer]:
    """The answers of the challenge's task."""
    from mer_pipeline.spotting import strs

    subjects = [each.subject for each in result.truth] or [""] * len(result.videos)
    return [
        answer
        for each, subject in zip(result.videos, subjects, strict=True)
        for answer in strs.answers_of(each, [name.emotion for name in named.get(id(each), ())], subject)
    ]


def _challenge(result: SpottingResults, answers: list[Answer], official: bool) -> dict[str, Strs]:
    """The scores of the answers, where there is a truth."""
    from mer_pipeline.datasets.long_videos import LongTruth
    from mer_pipeline.spotting import strs

    if not result.truth:
        return {}
    return _strs(answers, strs.true_answers(LongTruth("", result.truth)), official)


def _strs(answers: list[Answer], truth: list[Answer], official: bool) -> dict[str, Strs]:
    from mer_pipeline.spotting import strs

    scores = {"strs": strs.as_defined(answers, truth)}
    return {**scores, "strs_official": strs.official(answers, truth)} if official else scores


def _score_submission(truth: Path, submission: Path, official: bool, as_json: bool) -> None:
    """A .csv file of answers."""
    from mer_pipeline.datasets.long_videos import read_long
    from mer_pipeline.spotting import strs

    # The public scorer's own truth is such a file, too.
    of_file = truth.suffix.lower() == ".csv" and strs.is_submission(truth)
    true = strs.read_submission(truth) if of_file else strs.true_answers(read_long(truth))
    scores = _strs(strs.read_submission(submission), true, official)
    if as_json:
        say_json({"videos": [], **{name: score.as_json() for name, score in scores.items()}})
    else:
        show_strs(scores)
