"""`mer synth OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mer_pipeline.choices import SYNTHETIC
from mer_pipeline.cli import flags
from mer_pipeline.cli.common import progress_bar, say

Hold = Annotated[float, typer.Option(min=0.1, max=600, help="Macro-expressions are held up to so many seconds (long).")]


def synth(
    out: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    layout: Annotated[
        str,
        typer.Option(
            help=f"Whose layout: {', '.join(SYNTHETIC)}; long for long videos; flow, flow-computed for flow images."
        ),
    ] = "casme2",
    subjects: Annotated[int, typer.Option(min=1, max=99, help="How many subjects.")] = 6,
    clips: Annotated[
        int, typer.Option(min=1, max=99, help="How many clips a subject; expressions a person of a long video.")
    ] = 8,
    seed: flags.Seed = 0,
    face: Annotated[
        Path | None, typer.Option(help="Draw from this photo of a face instead of the built-in portrait.")
    ] = None,
    noise: Annotated[float, typer.Option(min=0, help="Sensor noise, standard deviation in grey levels.")] = 1.0,
    flicker: Annotated[float, typer.Option(min=0, max=0.5, help="Flicker of the light, relative amplitude.")] = 0.0,
    drift: Annotated[float, typer.Option(min=0, help="Head drift over a clip, up to so many pixels.")] = 0.0,
    drift_deg: Annotated[float, typer.Option(min=0, help="Head rotation over a clip, up to so many degrees.")] = 0.0,
    drift_scale: Annotated[float, typer.Option(min=0, help="Change of the head's size over a clip, relative.")] = 0.0,
    amplitude: Annotated[
        tuple[float, float], typer.Option(help="Least and greatest motion at the apex, in pixels of the frame.")
    ] = (0.8, 3.0),
    blinks: Annotated[float, typer.Option(min=0, max=1, help="Share of clips with a blink.")] = 0.0,
    speech: Annotated[float, typer.Option(min=0, max=1, help="Share of rests with speech (long).")] = 0.0,
    hands: Annotated[float, typer.Option(min=0, max=1, help="Share of rests with a hand at the mouth (long).")] = 0.0,
    turns: Annotated[float, typer.Option(min=0, max=15, help="Turns of the head up to so many degrees (long).")] = 0.0,
    tones: Annotated[float, typer.Option(min=0, max=1, help="How much darker skin may be.")] = 0.0,
    ages: Annotated[float, typer.Option(min=0, max=1, help="How much older faces may be.")] = 0.0,
    compression: Annotated[
        int | None, typer.Option(min=0, max=51, help="Constant rate factor of x264 (long; 18).")
    ] = None,
    lost: Annotated[float, typer.Option(min=0, max=0.5, help="Share of frames that show the one before (long).")] = 0.0,
    hold: Hold = 1.0,
    fps: Annotated[float | None, typer.Option(min=10, max=1000, help="Frames a second (long; 200).")] = None,
    seconds: Annotated[float | None, typer.Option(min=2, help="Length of a video (long; 60).")] = None,
    people: Annotated[int, typer.Option(min=1, max=4, help="People beside each other in a video (long).")] = 1,
    video: Annotated[bool, typer.Option("--video", help="One .avi a clip instead of frame folders (casme2).")] = False,
    quiet: flags.Quiet = False,
) -> None:
    """Write a synthetic dataset with known truth, in the exact layout of a real one."""
    from mer_pipeline.synth import Options, synthesise

    try:
        options = Options(
            amplitude_px=amplitude, noise=noise, flicker=flicker, drift_px=drift, drift_deg=drift_deg,
            drift_scale=drift_scale, blink_share=blinks, video=video, turn_deg=turns, speech_share=speech,
            hand_share=hands, tones=tones, ages=ages, compression=compression, lost=lost, hold_s=hold, fps=fps,
            seconds=seconds, people=people,
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with progress_bar(quiet, resume="") as progress:
        synthesise(
            out, layout=layout, subjects=subjects, clips=clips, seed=seed, face=face, options=options, progress=progress
        )
    what = f"{subjects} long videos" if layout == "long" else f"{subjects * clips} clips of {subjects} subjects"
    truth = out / ("labels.csv" if layout.startswith("flow") else "truth.parquet")
    say(f"{what} in {out}; planted truth in {truth}")
