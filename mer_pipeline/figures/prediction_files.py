"""Which pictures of a prediction are wanted, and where they go."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from mer_pipeline.errors import MerError
from mer_pipeline.inference.predictor import ExpressionImages, Predictor
from mer_pipeline.inference.result import ClipResult
from mer_pipeline.progress import Progress, silent


class PredictionFiles:
    """Draws what was found; files have mode 0600, since they show faces.

    One clip's overlay and one expression's picture have the given names; further ones have numbers added to them. Of
    several clips the files are named after each as well: `out-anna.png`.

    Attributes:
        written: The files so far.
    """

    def __init__(
        self,
        overlay: str | Path | None,
        image: str | Path | None,
        clips: int,
        *,
        slow: float = 1.0,
        magnify: float = 1.0,
    ) -> None:
        """Check the names.

        Args:
            overlay: An .mp4 file, or None.
            image: A .png file, or None.
            clips: How many there are.
            slow: See `write_overlay`.
            magnify: See `write_overlay`.

        Raises:
            MerError: A name has another ending.
        """
        overlay, image = (None if name is None else Path(name) for name in (overlay, image))
        for path, suffix in ((overlay, ".mp4"), (image, ".png")):
            if path is not None and path.suffix.lower() != suffix:
                raise MerError(f"the name must end in {suffix}", where=path, fix=f"try {path.with_suffix(suffix)}")
        self._overlay, self._image, self._clips = overlay, image, clips
        self._slow, self._magnify = slow, magnify
        self.written: list[Path] = []

    @property
    def draws_expressions(self) -> bool:
        """Whether `on_expression` has anything to do."""
        return self._image is not None

    def on_expression(self, sight: ExpressionImages) -> None:
        """Draw one expression, if pictures are wanted."""
        if self._image is None:
            return
        from mer_pipeline.figures.expression_sheet import write_sheet

        path = self._next(self._image, sight.clip)
        write_sheet(sight, path)
        self.written.append(path)

    def finish(
        self,
        result: ClipResult,
        predictor: Predictor,
        progress: Progress = silent,
        *,
        others: Sequence[ClipResult] = (),
    ) -> None:
        """Draw one clip, if overlays are wanted; `others` are of other faces in it."""
        if self._overlay is None:
            return
        from mer_pipeline.figures.overlay import write_overlay

        path = self._next(self._overlay, result.clip)
        write_overlay((result, *others), path, predictor.find_faces, progress, slow=self._slow, magnify=self._magnify)
        self.written.append(path)

    def _next(self, first: Path, clip: str) -> Path:
        """`out.png`, `out-2.png`, ...; of several clips `out-anna.png`, `out-anna-2.png`, ..."""
        stem = first.stem if self._clips < 2 else f"{first.stem}-{Path(clip).stem}"
        names = (f"{stem}{'' if number == 1 else f'-{number}'}{first.suffix}" for number in itertools.count(1))
        return next(path for name in names if (path := first.with_name(name)) not in self.written)
