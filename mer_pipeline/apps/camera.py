"""Prediction while frames arrive: from a camera, or from a file that is played like one.

Frames are taken by a thread of their own. One that comes while too many wait is dropped, so that what is shown never
lags behind by more than `_WAITING_S`. Past frames are kept as JPEG for as long as an expression may reach back.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.arrays import Image
from mer_pipeline.errors import MerError
from mer_pipeline.faces.follow import DetectionCounts
from mer_pipeline.faces.landmarks import Landmarks
from mer_pipeline.inference.classifier import to_keyframes, to_unclassified
from mer_pipeline.inference.predictor import Predictor
from mer_pipeline.inference.result import ClipResult, Expression, Unclassified
from mer_pipeline.spotting.frame_table import FaceFrames, FrameTable
from mer_pipeline.spotting.intervals import LONGEST_S, MARGIN_S
from mer_pipeline.spotting.live import HOP_S, LiveSpotter
from mer_pipeline.spotting.result import Interval, merged
from mer_pipeline.spotting.tracking import Tracked
from mer_pipeline.spotting.video import doubt_of, rate_of
from mer_pipeline.video import open_footage

_WAITING_S = 0.5
_KEPT_S = LONGEST_S + MARGIN_S + 2 * HOP_S
_JPEG_QUALITY = 95
_REPORT_EVERY_S = 0.25
_USUAL_FPS = 30.0  # of a camera that does not say


class Camera(Protocol):
    """Gives frames as time goes by.

    Attributes:
        name: What the user calls it.
        fps: Frames a second that it means to give.
        doubt: How much more than usual must stand out in its pictures; see `doubt_of`.
    """

    name: str
    fps: float
    doubt: float

    def frames(self) -> Iterator[Image]:
        """(H, W, 3) uint8 RGB, each when it is taken."""


class Webcam:
    """A camera of this machine.

    Args:
        number: Counted from 0.

    Raises:
        MerError: It does not open.
    """

    def __init__(self, number: int) -> None:
        self.name = f"camera {number}"
        # OpenCV complains on its own about cameras that are not there; newer versions have the switch elsewhere.
        getattr(cv2.utils, "logging", cv2).setLogLevel(0)
        self._device = cv2.VideoCapture(number)
        if not self._device.isOpened():
            raise MerError(
                "cannot be opened", where=self.name, fix="check that it is connected and that no other program uses it"
            )
        self.fps, self.doubt = self._device.get(cv2.CAP_PROP_FPS) or _USUAL_FPS, 1.0

    def frames(self) -> Iterator[Image]:
        """Until it is unplugged."""
        try:
            while (taken := self._device.read())[0]:
                yield np.asarray(cv2.cvtColor(taken[1], cv2.COLOR_BGR2RGB), np.uint8)
        finally:
            self._device.release()


class PlayedFile:
    """A video, or a folder of frames, at its own pace.

    Args:
        path: The file or folder.
        fps: The rate of frames that do not say theirs.
        force_fps: Let `fps` override what it says.

    Raises:
        MerError: It cannot be read, or states another rate.
    """

    def __init__(self, path: Path, fps: float | None = None, *, force_fps: bool = False) -> None:
        self._footage = open_footage(path)
        self.name = str(path)
        self.fps = rate_of(self._footage, fps, force=force_fps)[0] or _USUAL_FPS
        self.doubt = doubt_of(self._footage)

    def frames(self) -> Iterator[Image]:
        """Each frame when its time has come."""
        times, started = self._footage.times_s, time.monotonic()
        for index, image in self._footage.read(range(len(self._footage))):
            due = started + (index / self.fps if times is None else float(times[index]))
            time.sleep(max(0.0, due - time.monotonic()))
            yield image


def open_camera(source: str, fps: float | None = None, *, force_fps: bool = False) -> Camera:
    """A camera by its number, or a file by its path.

    Raises:
        MerError: There is none, it has a rate of its own, or the file states another.
    """
    if source.isdigit():
        if fps is not None:
            raise MerError("a camera has its own rate", where=f"camera {source}", fix="leave --fps out")
        return Webcam(int(source))
    return PlayedFile(Path(source), fps, force_fps=force_fps)


@dataclass
class Live:
    """Where a live prediction is; it goes on changing.

    Attributes:
        seconds: Since the first frame.
        frames, dropped: How many were looked at, and how many came too fast.
        has_face: Whether the last one shows a face.
        frame_ms: From taking a frame to being done with it, lately: (median, 95th percentile).
        reported_s: From the end of the last expression to its result.
        result: What was found.
    """

    seconds: float = 0.0
    frames: int = 0
    dropped: int = 0
    has_face: bool = False
    frame_ms: tuple[float, float] = (0.0, 0.0)
    reported_s: float | None = None
    result: ClipResult = field(default_factory=lambda: ClipResult(""))


def watch(
    camera: Camera,
    predictor: Predictor,
    on_state: Callable[[Live], None],
    *,
    macro: bool = False,
    stop: threading.Event | None = None,
    frames: FrameTable | None = None,
) -> ClipResult:
    """Spot and classify expressions until the camera ends.

    Args:
        camera: Gives the frames.
        predictor: Classifies them.
        on_state: Called a few times a second, and at the end.
        macro: Classify macro-expressions as well.
        stop: Ends it when set.
        frames: Takes in every frame; what became known of them is in `frames_of` the result.

    Raises:
        MerError: The camera failed before its first frame.
    """
    return _Watch(camera, predictor, on_state, macro, frames).run(stop or threading.Event())


def frames_of(result: ClipResult) -> FaceFrames:
    """What a table of frames has of a camera's face: of Action Units, those of each apex."""
    both: list[Expression | Unclassified] = [*result.expressions, *result.unclassified]
    found = [(each.onset_frame, each.offset_frame or each.apex_frame, each.kind or "") for each in both]
    aus = {each.apex_frame: {int(number): p for number, p in each.aus.items()} for each in result.expressions}
    return FaceFrames(0, None, result.events, found, aus)


@dataclass(frozen=True)
class _Taken:
    index: int
    at_s: float  # of the clock
    image: Image


class _Watch:
    def __init__(
        self,
        camera: Camera,
        predictor: Predictor,
        on_state: Callable[[Live], None],
        macro: bool,
        frames: FrameTable | None = None,
    ) -> None:
        self._camera, self._predictor, self._on_state, self._macro = camera, predictor, on_state, macro
        self._waiting: queue.Queue[_Taken | None] = queue.Queue(max(2, round(_WAITING_S * camera.fps)))
        self._looked = DetectionCounts()
        self._frames = frames
        self._spotter = LiveSpotter(camera.fps, self._find, doubt=camera.doubt, on_tracked=self._tracked)
        self._past: deque[tuple[int, npt.NDArray[np.uint8]]] = deque()
        self._delays_s: deque[float] = deque(maxlen=round(4 * camera.fps))
        self._expressions: list[Expression] = []
        self._rest: list[Unclassified] = []
        self._error: MerError | None = None
        self._began_s = 0.0
        self.live = Live()

    def _find(self, image: Image) -> Landmarks | None:
        return self._looked.at(self._predictor.find_faces, image)

    def run(self, stop: threading.Event) -> ClipResult:
        thread = threading.Thread(target=self._take, args=(stop,), daemon=True)
        thread.start()
        reported_s = 0.0
        try:
            while (taken := self._waiting.get()) is not None:
                self._process(taken)
                if taken.at_s - reported_s >= _REPORT_EVERY_S:
                    reported_s = taken.at_s
                    self._report()
            self._classify(self._spotter.finish())
        finally:
            stop.set()
        if self._error is not None and not self.live.frames:
            raise self._error
        self._report()
        return self.live.result

    def _take(self, stop: threading.Event) -> None:
        """The other thread: number frames by the time they are taken at, so that a dropped one leaves a gap."""
        last = -1
        try:
            for image in self._camera.frames():
                now_s = time.monotonic()
                self._began_s = self._began_s or now_s
                last = max(last + 1, round((now_s - self._began_s) * self._camera.fps))
                try:
                    self._waiting.put_nowait(_Taken(last, now_s, image))
                except queue.Full:
                    self.live.dropped += 1
                if stop.is_set():
                    break
        except MerError as error:
            self._error = error
        finally:
            self._end(stop)

    def _end(self, stop: threading.Event) -> None:
        """Say that no frame follows; where no consumer is left, in the place of a frame."""
        while True:
            try:
                self._waiting.put(None, timeout=0.1)
                return
            except queue.Full:
                if stop.is_set():
                    with suppress(queue.Empty):
                        self._waiting.get_nowait()

    def _process(self, taken: _Taken) -> None:
        found = self._spotter.push(taken.index, taken.image)
        if not self._spotter.has_face:
            self._tracked(taken.index, None)
        self._keep(taken)
        self._classify(found)
        self.live.frames += 1
        self.live.has_face = self._spotter.has_face
        self.live.seconds = taken.at_s - self._began_s
        self._delays_s.append(time.monotonic() - taken.at_s)

    def _tracked(self, index: int, face: Tracked | None) -> None:
        if self._frames is not None:
            self._frames.add(0, index, index / self._camera.fps, face)

    def _keep(self, taken: _Taken) -> None:
        bgr = cv2.cvtColor(taken.image, cv2.COLOR_RGB2BGR)
        jpeg = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1]
        self._past.append((taken.index, np.asarray(jpeg, np.uint8)))
        while self._past[0][0] < taken.index - _KEPT_S * self._camera.fps:
            self._past.popleft()

    def _classify(self, found: list[Interval]) -> None:
        for interval in found:
            expression = None
            if self._macro or interval.kind == "micro":
                expression = self._expression(interval)
            if expression is None:
                self._rest.append(to_unclassified(interval))
            else:
                self._expressions.append(expression)
            self.live.reported_s = time.monotonic() - self._began_s - interval.offset_s

    def _expression(self, interval: Interval) -> Expression | None:
        """None where the frames are gone, or the face is lost."""
        model = self._predictor.model
        wanted = model.wants(to_keyframes(interval))
        # Where a frame was dropped, the nearest one that was not stands for it.
        if not self._past or self._past[0][0] > interval.onset_frame:
            return None
        kept = dict(self._past)
        known = np.array(list(kept))
        images = {index: _decoded(kept[int(known[np.abs(known - index).argmin()])]) for index in wanted.needed}
        try:
            found = self._predictor.classify(images, wanted, where=self._camera.name)
        except MerError:
            return None
        fps = self._camera.fps
        return self._predictor.expression(found.output, wanted, fps, lambda frame: round(frame / fps, 4))

    def _report(self) -> None:
        delays = np.array(self._delays_s or [0.0]) * 1000
        self.live.frame_ms = float(np.median(delays)), float(np.quantile(delays, 0.95))
        warnings = [*self._predictor.model.notes]
        if self.live.dropped:
            warnings.append(f"{self.live.dropped} frames came faster than they could be looked at, and were left out")
        self.live.result = ClipResult(
            clip=self._camera.name,
            fps=self._camera.fps,
            frames=self.live.frames,
            faces=self._looked.faces,
            looked_at=self._looked.frames,
            with_face=self._looked.with_face,
            expressions=sorted(self._expressions, key=lambda each: each.onset_frame),
            unclassified=list(self._rest),
            events=merged(self._spotter.events),
            model=self._predictor.model.name,
            warnings=warnings,
        )
        self._on_state(self.live)


def _decoded(jpeg: npt.NDArray[np.uint8]) -> Image:
    bgr = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
