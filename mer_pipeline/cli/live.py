"""The live view of `mer predict --camera`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live as Screen
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from mer_pipeline.apps.camera import Live
    from mer_pipeline.inference.predictor import Predictor
    from mer_pipeline.inference.result import ClipResult
    from mer_pipeline.spotting.frame_table import FrameTable

_SHOWN = 8  # expressions


def run_camera(
    predictor: Predictor,
    source: str,
    fps: float | None,
    force_fps: bool,
    macro: bool,
    quiet: bool,
    frames: FrameTable | None = None,
) -> tuple[ClipResult, Live]:
    """Watch a camera, or a file that is played, until it ends or Ctrl-C is pressed; drawn on standard error."""
    from mer_pipeline.apps.camera import Live, frames_of, open_camera, watch

    camera, stop, last = open_camera(source, fps, force_fps=force_fps), threading.Event(), Live()
    with Screen(console=Console(stderr=True), auto_refresh=False, transient=True) as screen:

        def show(state: Live) -> None:
            nonlocal last
            last = state
            if not quiet:
                screen.update(_view(state), refresh=True)

        try:
            result = watch(camera, predictor, show, macro=macro, stop=stop, frames=frames)
        except KeyboardInterrupt:  # the way to end a camera
            stop.set()
            result = last.result
    if frames is not None:
        frames.faces.append(frames_of(result))
    return result, last


def speed_line(state: Live) -> str:
    """How fast it was, in one line."""
    median, slow = state.frame_ms
    late = state.reported_s
    said = "" if late is None else f"; the last expression was reported {late:.1f} s after its end"
    rate = state.frames / state.seconds if state.seconds else 0.0
    return (
        f"{state.frames} frames in {state.seconds:.1f} s ({rate:.0f} a second, {state.dropped} left out); "
        f"a frame is done {median:.0f} ms after it is taken (95 %: {slow:.0f} ms){said}"
    )


def _view(state: Live) -> Group:
    from mer_pipeline.inference.result import Expression, Unclassified

    face = Text("face", "bold green") if state.has_face else Text("no face", "bold yellow")
    head = Text.assemble(f"{Path(state.result.clip).name}  {state.seconds:6.1f} s  ", face)
    table = Table("at", "length", "what", "Action Units", expand=True)
    both: list[Expression | Unclassified] = [*state.result.expressions, *state.result.unclassified]
    for found in sorted(both, key=lambda each: -each.onset_frame)[:_SHOWN]:
        start, end = found.onset_s or 0.0, found.offset_s or 0.0
        what, aus = f"{found.kind}-expression", ""
        if isinstance(found, Expression):
            what = f"{found.emotion} {found.probability:.2f}" + ("" if found.verdict == "expression" else " ?")
            aus = ", ".join(number for number, _ in found.likely_aus())
        table.add_row(f"{start:.1f} s", f"{end - start:.2f} s", what, aus)
    return Group(head, table, Text(speed_line(state), "dim"), Text("Ctrl-C ends", "dim"))
