"""Many clips in one go: what is done is kept beside the page until all is, so that an interrupted batch goes on.

Every clip that is done is a file in `done/` of the folder beside the page or table, named by a hash of the clip and of
all that its result depends on; the folder keeps the pictures of the expressions, and `done/` goes when all is done.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image as Pillow

from mer_pipeline.arrays import Image
from mer_pipeline.cache.atomic import private_folder, write_atomically
from mer_pipeline.errors import MerError, WriteError, os_errors
from mer_pipeline.figures.expression_sheet import write_sheet
from mer_pipeline.inference.predictor import ExpressionImages
from mer_pipeline.inference.result import ClipResult, Expression
from mer_pipeline.progress import Progress, silent
from mer_pipeline.reading import built, digest_of, json_bytes, read_json, well_formed
from mer_pipeline.version import __version__
from mer_pipeline.video import open_footage

_THUMBNAIL_PX, _QUALITY = 96, 80


@dataclass(frozen=True)
class Sight:
    """The pictures of one expression.

    Attributes:
        person: As in its result.
        apex_frame: Likewise.
        sheet: Name of its sheet in the folder of the batch.
        onset, apex: Small JPEG pictures in base 64.
    """

    person: int | None
    apex_frame: int
    sheet: str
    onset: str
    apex: str


@dataclass(frozen=True)
class DoneClip:
    """A clip that is done: one result for each face, and the pictures of the expressions."""

    clip: str
    results: tuple[ClipResult, ...]
    sights: tuple[Sight, ...] = ()

    def sight(self, result: ClipResult, found: Expression) -> Sight | None:
        """The pictures of an expression."""
        wanted = result.person, found.apex_frame
        return next((each for each in self.sights if (each.person, each.apex_frame) == wanted), None)


class Batch:
    """Predicts many clips.

    Attributes:
        folder: Of the pictures, and of what is done.
    """

    def __init__(self, beside: Path, settings: Mapping[str, object], *, draws: bool) -> None:
        self.folder = beside.with_name(f"{beside.stem}_files")
        self._settings, self._draws = dict(settings), draws

    @os_errors()
    def run(
        self, clips: Sequence[Path], predict: Callable[..., list[ClipResult]], progress: Progress = silent
    ) -> list[DoneClip]:
        """Predict clips, each on its own; what is done already is taken as it is.

        Args:
            clips: Videos and folders of frames.
            predict: Gives the results of a clip; takes `progress` and `on_expression`, too.
            progress: Called after every clip.

        Raises:
            WriteError: The folder cannot be written.
        """
        private_folder(self.folder / "done")
        entries = []
        progress("predict", 0, len(clips), clips[0].name if clips else "")
        for done, clip in enumerate(clips, 1):
            entries.append(self._entry(clip, predict, progress))
            progress("predict", done, len(clips), clip.name)
        return entries

    def finish(self) -> None:
        """All has been written: what was kept to go on from is not needed any more."""
        shutil.rmtree(self.folder / "done", ignore_errors=True)
        with suppress(OSError):
            self.folder.rmdir()  # empty, where no pictures were wanted

    def _entry(self, clip: Path, predict: Callable[..., list[ClipResult]], progress: Progress) -> DoneClip:
        try:
            shown = open_footage(clip).fingerprint()
        except MerError as error:
            return DoneClip(str(clip), (ClipResult(str(clip), error=str(error)),))
        key = digest_of(json.dumps([self._settings, __version__, str(clip), shown]).encode())
        kept = self.folder / "done" / f"{key}.json"
        with suppress(MerError):  # absent, or damaged: then it is done anew
            return _entry_of(kept)
        sights: list[Sight] = []
        name = re.sub(r"[^\w.-]", "_", clip.name)[:80]

        def draw(images: ExpressionImages) -> None:
            sights.append(self._drawn(images, f"{name}-{key[:6]}-{len(sights) + 1}.png"))

        try:
            results = tuple(predict(clip, progress=progress, on_expression=draw if self._draws else None))
        except WriteError:
            raise
        except MerError as error:
            results = (ClipResult(str(clip), error=str(error)),)
        entry = DoneClip(str(clip), results, tuple(sights))
        values = {"clip": entry.clip, "results": [each.as_json() for each in results], "sights": [*map(asdict, sights)]}
        write_atomically(kept, json_bytes(values))
        return entry

    def _drawn(self, images: ExpressionImages, sheet: str) -> Sight:
        write_sheet(images, self.folder / sheet)
        person = re.search(r", person (\d+)$", images.clip)
        onset, apex = (_thumbnail(each) for each in (images.onset, images.apex))
        return Sight(int(person[1]) if person else None, images.expression.apex_frame, sheet, onset, apex)


def _entry_of(path: Path) -> DoneClip:
    """A clip that was done.

    Raises:
        MerError: It was not, or its file is damaged.
    """
    with well_formed(path):
        return built(DoneClip, read_json(path))


def _thumbnail(crop: Image) -> str:
    buffer = io.BytesIO()
    small = Pillow.fromarray(crop).resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Pillow.Resampling.BOX)
    small.save(buffer, "JPEG", quality=_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
