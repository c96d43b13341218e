"""The sound of a film goes with its pictures into a copy."""

import av
import numpy as np
import pytest

from mer_pipeline.video import VideoWriter

RATE, FPS, FRAMES = 16_000, 25, 50


@pytest.fixture
def film(tmp_path):
    """Two seconds of black, with a tone of 440 Hz in the second of them."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=FPS), container.add_stream("aac", rate=RATE)
        video.width = video.height = 32
        video.pix_fmt, audio.layout = "yuv420p", "mono"
        for _ in range(FRAMES):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        at = np.arange(2 * RATE) / RATE
        tone = np.where(at >= 1, 0.5 * np.sin(2 * np.pi * 440 * at), 0).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.rate, frame.pts = RATE, 0
        container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def copied(film, path, frames=FRAMES):
    with VideoWriter(path, FPS, sound=film) as writer:
        for index in range(frames):
            writer.write(np.zeros((32, 32, 3), np.uint8), index / FPS)
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def test_it_sounds_when_it_did(film, tmp_path):
    heard = copied(film, tmp_path / "copy.mp4")
    assert len(heard) == pytest.approx(2 * RATE, abs=0.15 * RATE)
    first, second = heard[: RATE - 2048], heard[RATE + 2048 :]
    assert np.abs(first).max() < 0.05 < 0.2 < np.sqrt((second**2).mean())
    spectrum = np.abs(np.fft.rfft(second))
    assert np.argmax(spectrum) * RATE / len(second) == pytest.approx(440, abs=3)


def test_it_ends_with_the_pictures(film, tmp_path):
    assert len(copied(film, tmp_path / "copy.mp4", frames=25)) < 1.15 * RATE


def test_what_has_no_sound_has_none(tmp_path, film):
    silent = tmp_path / "silent.mp4"
    copied(tmp_path, silent)  # a folder
    assert copied(silent, tmp_path / "copy.mp4") is None
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    assert copied(tmp_path / "broken.mp4", tmp_path / "again.mp4") is None


def with_sound(path, rate, damaged=()):
    """A film of one second with raw sound; in some packets there is nothing that can be decoded."""
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=FPS), container.add_stream("aac", rate=rate)
        video.width = video.height = 32
        video.pix_fmt, audio.layout = "yuv420p", "mono"
        tone = np.sin(np.arange(rate)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.rate, frame.pts = rate, 0
        packets = [*audio.encode(frame), *audio.encode(None)]
        image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux([packet for _ in range(FPS) for packet in video.encode(image)] + video.encode(None))
        for at, packet in enumerate(packets):
            if at in damaged:
                broken = av.Packet(bytes(len(bytes(packet))))
                broken.stream, broken.pts, broken.dts = packet.stream, packet.pts, packet.dts
                broken.time_base = packet.time_base
                packet = broken
            container.mux(packet)


@pytest.mark.parametrize("damaged", [range(3), range(10, 14)], ids=["first", "middle"])
def test_a_damaged_stretch_is_left_out(tmp_path, damaged):
    with_sound(tmp_path / "film.mkv", 48_000, damaged)
    heard = copied(tmp_path / "film.mkv", tmp_path / "copy.mp4", frames=25)
    assert 0.6 * 48_000 < len(heard) <= 1.05 * 48_000


def test_a_rate_that_aac_has_not_is_changed(tmp_path):
    with_sound(tmp_path / "film.mkv", 96_000)
    assert len(copied(tmp_path / "film.mkv", tmp_path / "copy.mp4", frames=25)) == pytest.approx(48_000, rel=0.1)
