"""Frames as files: images named with their numbers, or the same images inside an AVI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt

from mer_pipeline.synth.files import make_folder, replaced
from mer_pipeline.synth.truth import PlantedClip

Frames = Iterator[npt.NDArray[np.uint8]]
_JPEG_QUALITY = 95
_H264_CRF = "18"
_BITEXACT = 1 << 23  # no name of a library version in the file


def encode(frame: npt.NDArray[np.uint8], suffix: str = ".jpg", grey: bool = False) -> bytes:
    """An RGB frame as the bytes of an image file."""
    picture = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, picture, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1].tobytes()


def write_images(
    folder: Path, clip: PlantedClip, frames: Frames, name: Callable[[int], str], grey: bool = False
) -> None:
    """Write a clip's frames into a folder, which may hold other clips.

    Args:
        folder: Created where it is absent.
        clip: Knows the number of each frame.
        frames: RGB, in order.
        name: A frame's number -> its file name, whose ending says the format.
        grey: Write one channel.

    Raises:
        OSError: A file cannot be written.
    """
    make_folder(folder)
    for index, frame in enumerate(frames):
        path = folder / name(clip.number(index))
        path.write_bytes(encode(frame, path.suffix, grey))


def write_avi(path: Path, frames: Frames, fps: float) -> None:
    """Put JPEG files into an AVI: its frames are the same pixels as a folder's.

    Raises:
        OSError: The file cannot be written.
    """
    make_folder(path.parent)
    with (
        replaced(path) as temporary,
        av.open(str(temporary), "w", format="avi", options={"fflags": "+bitexact"}) as container,
    ):
        stream = cast(av.VideoStream, container.add_stream("mjpeg", rate=int(fps), options={"strict": "unofficial"}))
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p"
        stream.codec_context.flags |= _BITEXACT
        for index, jpeg in enumerate(map(encode, frames)):
            packet = av.Packet(jpeg)
            packet.stream, packet.is_keyframe = stream, True
            packet.pts = packet.dts = index
            packet.duration, packet.time_base = 1, Fraction(1, int(fps))
            container.mux(packet)


def write_h264(path: Path, frames: Frames, fps: float) -> None:
    """Put frames into an MP4 as they come, so that its length is bounded by the disk alone.

    H.264 because JPEG at this quality would take 700 MB a minute at 200 frames a second. It is lossy in time too: at a
    worse quality than this, motion of less than a tenth of a pixel would vanish.

    Raises:
        OSError: The file cannot be written.
    """
    make_folder(path.parent)
    rate = Fraction(fps).limit_denominator(1001)
    with (
        replaced(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as container,
    ):
        choices = {"crf": _H264_CRF, "preset": "superfast", "threads": "1"}  # threads: as many would be other bytes
        stream = container.add_stream("libx264", rate=rate, options=choices)
        stream.pix_fmt = "yuv420p"
        stream.gop_size = max(1, round(fps))
        stream.codec_context.flags |= _BITEXACT
        for index, picture in enumerate(frames):
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
