"""Every kind of medium that people have gets an answer from `mer predict`, or one clear line."""

import json
import struct
import subprocess
import sys
import wave

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from mer_pipeline.video import VideoWriter, open_footage

PREDICT = [sys.executable, "-c", "from mer_pipeline.cli import main; main()", "predict"]
LEAD = 20  # frames of a still face before and after the smile


@pytest.fixture(scope="module")
def film(raw):
    """An expression of a quarter of a second at 200 frames a second, 640x480."""
    row = pd.read_parquet(raw / "truth.parquet").iloc[0]
    footage = open_footage(raw / "CASME2-RAW" / f"sub{row['subject']}" / row["clip"])
    frames = [image for _, image in footage.read(range(len(footage)))]
    return [frames[0]] * LEAD + frames + [frames[-1]] * LEAD


def at_rate(film, fps):
    """The frames that a slower camera would have taken."""
    return [film[round(at)] for at in np.arange(0, len(film) - 1, 200 / fps)]


def h264(path, frames, fps, times=None):
    with VideoWriter(path, fps) as writer:
        for index, frame in enumerate(frames):
            writer.write(np.ascontiguousarray(frame), index / fps if times is None else times[index])


def encoded(path, frames, fps, codec, pixel_format, layout="rgb24"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixel_format
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=layout)))
        container.mux(stream.encode())


def turned_by_metadata(path, film):
    """Stored lying on its side, with the matrix in the header that tells players to turn it upright."""
    h264(path, [np.rot90(frame) for frame in film[::2]], 100)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    height = film[0].shape[0]
    one = 1 << 16
    struct.pack_into(">9i", content, matrix, 0, one, 0, -one, 0, 0, height * one, 0, 1 << 30)
    path.write_bytes(content)


def with_alpha(path, film):
    frames = [np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)]) for frame in film[::4]]
    encoded(path, frames, 50, "png", "rgba", "rgba")


def beside_a_smaller_one(frame):
    small = cv2.resize(frame, (560, 420))
    return np.hstack([frame, cv2.copyMakeBorder(small, 30, 30, 0, 0, cv2.BORDER_REPLICATE)])


def in_profile(frame):
    """As near as one portrait comes: half of the face is narrow and in the dark."""
    turned = cv2.warpPerspective(
        frame,
        cv2.getPerspectiveTransform(
            np.float32([(220, 130), (440, 130), (440, 380), (220, 380)]),
            np.float32([(220, 60), (330, 150), (330, 350), (220, 440)]),
        ),
        (640, 480),
    )
    turned[:, 320:] //= 8
    return turned


def sound(path, film):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))


def cut_short(path, film):
    h264(path, film, 200)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def cut_before_its_table(path, film):
    encoded(path, film[::2], 100, "libx264", "yuv420p")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def uneven(path, film):
    times = np.cumsum(np.tile([1, 1, 3], len(film))[: len(film[::2])]) / 200
    h264(path, film[::2], 100, times)


ANSWERS = {  # file -> (how it is made, frames a second, part of a warning)
    "25.mp4": (lambda at, film: h264(at, at_rate(film, 25), 25), 25, "25 fps: a micro-expression"),
    "30.mp4": (lambda at, film: h264(at, at_rate(film, 30), 30), 30, "30 fps: a micro-expression"),
    "60.mp4": (lambda at, film: h264(at, at_rate(film, 60), 60), 60, None),
    "100.mp4": (lambda at, film: h264(at, film[::2], 100), 100, None),
    "200.mp4": (lambda at, film: h264(at, film, 200), 200, None),
    "mjpeg.avi": (lambda at, film: encoded(at, film[::2], 100, "mjpeg", "yuvj420p"), 100, None),
    "upright.mp4": (lambda at, film: h264(at, [frame[:, 140:500] for frame in film[::2]], 100), 100, None),
    "turned.mp4": (turned_by_metadata, 100, None),
    "4k.mp4": (
        lambda at, film: h264(at, [cv2.resize(image, (3840, 2880))[:2160] for image in film[10:80:8]], 25),
        25,
        "25 fps",
    ),
    "uneven.mp4": (uneven, None, None),
    "alpha.mov": (with_alpha, 50, "50 fps"),
    "grey.mkv": (lambda at, film: encoded(at, [f[..., 1] for f in film[::2]], 100, "ffv1", "gray", "gray"), 100, None),
    "two.mp4": (lambda at, film: h264(at, [beside_a_smaller_one(f) for f in film[::4]], 50), 50, "2 faces"),
    "lost.mp4": (
        lambda at, film: h264(at, [*film[::2], *[np.zeros_like(film[0])] * 20, *film[::2]], 100), 100, "no face in",
    ),
    "small.mp4": (lambda at, film: h264(at, [cv2.resize(frame, (160, 120)) for frame in film[::2]], 100), 100, None),
}  # fmt: skip
LINES = {  # file -> (how it is made, what the one line says)
    "sound.wav": (sound, "the file has no video stream"),
    "empty.mp4": (lambda at, film: at.touch(), "not a readable video"),
    "cut.mp4": (cut_short, "may be cut short"),
    "tableless.mp4": (cut_before_its_table, "not a readable video"),
    "text.mp4": (lambda at, film: at.write_text("no video\n" * 99), "not a readable video"),
    "black.mp4": (lambda at, film: h264(at, [np.zeros_like(film[0])] * 20, 100), "no face was found"),
    "wall.mp4": (lambda at, film: h264(at, [np.full_like(film[0], 120)] * 20, 100), "no face was found"),
    "one.mp4": (lambda at, film: h264(at, film[:1], 25), "a clip of one frame has no motion"),
}
EITHER = {"profile.mp4": (lambda at, film: h264(at, [in_profile(frame) for frame in film[::4]], 50),)}


@pytest.fixture(scope="module")
def told(film, run, tmp_path_factory):
    """What one call of `mer predict` on all of them prints, by file name; its exit code and its error lines."""
    folder = tmp_path_factory.mktemp("media")
    files = {name: folder / name for name in (*ANSWERS, *LINES, *EITHER)}
    for name, path in files.items():
        {**ANSWERS, **LINES, **EITHER}[name][0](path, film)
    called = subprocess.run(
        [*PREDICT, *map(str, files.values()), "--model", str(run), "--json", "--quiet", "--device", "cpu"],
        capture_output=True,
        text=True,
    )
    results = dict(zip(files, json.loads(called.stdout), strict=True))
    return results, called.returncode, called.stderr.splitlines()


@pytest.mark.parametrize("name", ANSWERS)
def test_gets_an_answer(told, name):
    _make, fps, warning = ANSWERS[name]
    result = told[0][name]
    assert "error" not in result
    assert result["fps"] == pytest.approx(fps, rel=0.02) if fps else result["fps"] > 0
    assert result["faces"] >= 1
    (found,) = result["expressions"]
    assert 0 <= found["onset_frame"] <= found["apex_frame"] <= found["offset_frame"] < result["frames"]
    assert found["onset_s"] <= found["apex_s"] <= found["offset_s"]
    warnings = [line for line in result["warnings"] if not line.startswith("a demonstration model")]
    assert any(warning in line for line in warnings) if warning else not warnings


@pytest.mark.parametrize("name", LINES)
def test_gets_one_clear_line(told, name):
    results, code, lines = told
    assert LINES[name][1] in results[name]["error"]
    assert results[name]["expressions"] == []
    assert code == 1
    # A wide console line may be wrapped nowhere: each error is one line that names its file.
    assert sum(line.startswith("error:") and f"/{name}:" in line for line in lines) == 1
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("name", EITHER)
def test_gets_either(told, name):
    result = told[0][name]
    assert result["expressions"] or "no face" in result["error"]


def test_times_of_an_uneven_video_are_its_own(told):
    result = told[0]["uneven.mp4"]
    (found,) = result["expressions"]
    steps = np.tile([1, 1, 3], result["frames"])[: result["frames"]] / 200
    assert found["apex_s"] == pytest.approx(steps[1 : found["apex_frame"] + 1].sum(), abs=1e-3)


@pytest.mark.parametrize("name", ["60.mp4", "100.mp4", "200.mp4", "upright.mp4", "turned.mp4", "alpha.mov", "grey.mkv"])
def test_the_planted_apex_is_found_at_any_rate(told, raw, name):
    truth = pd.read_parquet(raw / "truth.parquet").iloc[0]
    (found,) = told[0][name]["expressions"]
    assert found["apex_s"] == pytest.approx((LEAD + truth["apex_frame"]) / 200, abs=0.035)
