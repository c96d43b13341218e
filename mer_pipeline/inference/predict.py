"""Prediction on one clip: find the face and the key frames, crop, and ask a trained network."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mer_pipeline import networks
from mer_pipeline.device import choose_device
from mer_pipeline.errors import MerError
from mer_pipeline.facs import AU_NUMBERS
from mer_pipeline.networks import feed
from mer_pipeline.networks.normalise import normalise
from mer_pipeline.runs import Card, load_network
from mer_pipeline.stages.align import align
from mer_pipeline.stages.crop import CropPair, crop
from mer_pipeline.stages.detect import FaceMesh, Landmarks
from mer_pipeline.stages.keyframes import KeyFrames, Looked, find_keyframes
from mer_pipeline.video import open_footage

# Below this rate a micro-expression (1/25 to 1/5 s) spans too few frames to be seen rising and falling.
_FEW_FPS = 60.0


@dataclass(frozen=True)
class Expression:
    """One expression of a clip.

    Attributes:
        onset_frame, apex_frame, offset_frame: 0-based; the offset is None where only onset and apex were given.
        emotion: The most probable class.
        probabilities: By class name; they are the network's own and not calibrated.
        aus: Probability of each Action Unit by its number; empty where the network has no AU head.
        aus_source: `predicted`, or None where there are none.
    """

    onset_frame: int
    apex_frame: int
    offset_frame: int | None
    emotion: str
    probabilities: dict[str, float]
    aus: dict[str, float]
    aus_source: str | None


@dataclass(frozen=True)
class ClipResult:
    """What was found in one clip.

    Attributes:
        clip: The path that was given.
        fps: Frames a second, None where a frame folder does not say.
        frames: Length of the clip.
        faces: The largest number of faces seen in one frame.
        looked_at, with_face: In how many frames a face was looked for, and found.
        expressions: In time order.
        warnings: What the reader of the result should know.
        error: Why there is no result; None where there is one.
    """

    clip: str
    fps: float | None = None
    frames: int = 0
    faces: int = 0
    looked_at: int = 0
    with_face: int = 0
    expressions: list[Expression] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON values; `error` is there only where something failed."""
        values = asdict(self)
        return values if self.error else {key: value for key, value in values.items() if key != "error"}


class Predictor:
    """A trained network together with the stages that feed it; use it as a context manager."""

    def __init__(self, model: Path, device: str = "auto") -> None:
        """Load a run folder, a fold folder or a weights file.

        Raises:
            MerError: It cannot be used, or the device is absent.
        """
        self._device = choose_device(device)
        state, self.card = load_network(model)
        self._network = _rebuild(state, self.card, model).to(self._device).eval()
        if "flow" in feed.input_names(self._network):
            raise MerError(
                f"{self.card.model} takes published flow images, not video",
                where=model,
                fix="use a model of onset and apex",
            )
        self._stack = ExitStack()

    def __enter__(self) -> Predictor:
        self._mesh = self._stack.enter_context(FaceMesh())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(
        self, clip: Path, *, onset_frame: int | None = None, apex_frame: int | None = None, fps: float | None = None
    ) -> ClipResult:
        """Predict one clip.

        Args:
            clip: A video file or a folder of frames.
            onset_frame, apex_frame: 0-based indices; spotted where None.
            fps: Overrides what the medium says.

        Raises:
            MerError: The clip is unreadable, too short or has no face, or the given frames make no sense.
        """
        footage = open_footage(clip)
        rate = fps or footage.fps
        looked = Looked()
        keyframes = find_keyframes(
            footage, lambda: self._mesh, onset_frame=onset_frame, apex_frame=apex_frame, fps=rate, looked=looked
        )
        images = dict(footage.read(keyframes.needed))
        faces = [looked.at(self._mesh, images[index]) for index in keyframes.needed]
        if faces[0] is None:
            raise MerError(
                f"no face found in frame {keyframes.onset_frame}",
                where=clip,
                fix="check that it is visible and upright",
            )
        expression = self._expression(images, keyframes, faces[0])
        return ClipResult(
            clip=str(clip),
            fps=rate,
            frames=len(footage),
            faces=looked.faces,
            looked_at=looked.frames,
            with_face=looked.with_face,
            expressions=[expression],
            warnings=_warnings(rate, looked, keyframes),
        )

    @torch.no_grad()
    def _expression(
        self, images: dict[int, np.ndarray[Any, np.dtype[np.uint8]]], keyframes: KeyFrames, landmarks: Landmarks
    ) -> Expression:
        crops = crop(images, align(images, keyframes.onset_frame, landmarks), self.card.size)
        pair = CropPair(crops[0], crops[-1])
        onset, apex = (
            normalise(torch.from_numpy(image.transpose(2, 0, 1)).to(self._device)[None], self.card.mean, self.card.std)
            for image in (pair.onset, pair.apex)
        )
        output = feed.run(self._network, {"onset": onset, "apex": apex})
        probabilities = output.logits.float().softmax(1)[0].tolist()
        aus = {}
        if output.au_logits is not None:
            values = output.au_logits.float().sigmoid()[0].tolist()
            aus = {str(number): round(p, 4) for number, p in zip(AU_NUMBERS, values, strict=True)}
        return Expression(
            onset_frame=keyframes.onset_frame,
            apex_frame=keyframes.apex_frame,
            offset_frame=keyframes.offset_frame,
            emotion=self.card.classes[int(np.argmax(probabilities))],
            probabilities={name: round(p, 4) for name, p in zip(self.card.classes, probabilities, strict=True)},
            aus=aus,
            aus_source="predicted" if aus else None,
        )


def _rebuild(state: dict[str, torch.Tensor], card: Card, model: Path) -> torch.nn.Module:
    try:
        network = networks.build(card.network, classes=len(card.classes), size=card.size, **card.options)
        network.load_state_dict(state)
    except (ValueError, RuntimeError):
        raise MerError(
            "its weights do not fit this version's network", where=model, fix="train again with this version"
        ) from None
    return network


def _warnings(fps: float | None, looked: Looked, keyframes: KeyFrames) -> list[str]:
    warnings = []
    if fps is not None and fps < _FEW_FPS:
        warnings.append(
            f"{fps:.3g} fps: a micro-expression (1/25 to 1/5 s) spans only {fps / 25:.1f} to {fps / 5:.1f} frames"
        )
    if looked.with_face < looked.frames:
        warnings.append(
            f"no face in {looked.frames - looked.with_face} of the {looked.frames} frames that were looked at"
        )
    if looked.faces > 1:
        warnings.append(f"{looked.faces} faces: the largest is used")
    if keyframes.onset_frame == keyframes.apex_frame:
        warnings.append("onset and apex are one frame: there is no motion to judge")
    return warnings
