import os
import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mer_pipeline.errors import MerError
from mer_pipeline.video import FrameFolder, VideoFile, open_footage
from mer_pipeline.video.frame_files import frame_number

LENGTH = 40


def write_video(path, codec, pixel_format, b_frames=0, levels=range(LENGTH)):
    """A video whose frame i is grey of level 6 i, so that a wrong index shows."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=200)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        stream.codec_context.max_b_frames = b_frames
        for i in levels:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i * 6, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


VIDEOS = [
    pytest.param("clip.avi", "mjpeg", "yuvj420p", 0, id="mjpeg avi, as datasets are handed out"),
    pytest.param("clip.avi", "libx264", "yuv420p", 2, id="avi with B-frames has no presentation times"),
    pytest.param("clip.mp4", "libx264", "yuv420p", 2, id="mp4 with B-frames"),
    pytest.param("clip.mkv", "ffv1", "bgr0", 0, id="lossless mkv"),
]


@pytest.mark.parametrize(("name", "codec", "pixel_format", "b_frames"), VIDEOS)
def test_every_index_gives_its_own_frame(tmp_path, name, codec, pixel_format, b_frames):
    footage = open_footage(write_video(tmp_path / name, codec, pixel_format, b_frames))
    assert len(footage) == LENGTH
    assert footage.fps == pytest.approx(200)
    wanted = [2, 3, 17, LENGTH - 1]
    got = {index: image.mean() / 6 for index, image in footage.read(reversed(wanted))}
    assert list(got) == wanted
    assert [round(level) for level in got.values()] == wanted


def test_only_the_wanted_frames_of_mjpeg_are_decoded(tmp_path):
    footage = open_footage(write_video(tmp_path / "clip.avi", "mjpeg", "yuvj420p"))
    list(footage.read([5, 30]))
    assert footage.decoded == 2


def test_a_title_that_is_not_utf_8_stops_nothing(tmp_path):
    """As Chinese Windows writes it into an AVI."""
    with av.open(str(tmp_path / "clip.avi"), "w") as container:
        container.metadata["title"] = "TITLE_"
        stream = container.add_stream("mjpeg", rate=200)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for level in (0, 60):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    content, title = (tmp_path / "clip.avi").read_bytes(), "微表情".encode("gbk")
    assert content.count(b"TITLE_") == 1
    (tmp_path / "clip.avi").write_bytes(content.replace(b"TITLE_", title))
    footage = open_footage(tmp_path / "clip.avi")
    assert len(footage) == 2
    assert footage.frame(1).mean() == pytest.approx(60, abs=2)


@pytest.mark.parametrize("name", ["12:30:05.avi", "tcp:1.avi", "concat:a|b.avi", "file:a.avi", "100%d.avi"])
def test_a_name_that_begins_like_an_address_is_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.avi", "mjpeg", "yuvj420p").rename(tmp_path / name)
    footage = open_footage(Path(name))
    assert len(footage) == LENGTH
    assert round(footage.frame(7).mean() / 6) == 7


@pytest.mark.shared
@pytest.mark.parametrize("name", ["pexels_face.mp4", "no_face.mp4", "face_noface.mov"])
def test_real_videos_agree_with_decoding_from_the_start(shared, name):
    path = shared / "clips" / name
    with av.open(str(path)) as container:
        truth = [(frame.time, frame.to_ndarray(format="rgb24")[::16, ::16]) for frame in container.decode(video=0)]
    footage = VideoFile(path)
    assert len(footage) == len(truth)
    assert footage.times_s == pytest.approx([time - truth[0][0] for time, _ in truth])
    rng = np.random.default_rng(0)
    wanted = sorted({0, len(truth) - 1, *rng.integers(0, len(truth), 12).tolist()})
    for index, image in footage.read(wanted):
        assert np.array_equal(image[::16, ::16], truth[index][1]), index


def test_the_variable_frame_rate_clip_has_uneven_times(shared):
    if not shared.is_dir():
        pytest.skip("needs the shared data folder beside the checkout")
    steps = np.diff(VideoFile(shared / "clips" / "face_noface.mov").times_s)
    assert steps.min() < 0.9 * steps.max()


def write_frames(folder, names):
    folder.mkdir()
    for level, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((8, 8, 3), level * 10, np.uint8))
    return folder


def test_a_folder_is_sorted_by_the_last_number_in_the_names(tmp_path):
    folder = write_frames(tmp_path / "006_1_2", ["006_00999.png", "006_1000.png", "006_01001.png"])
    footage = open_footage(folder)
    assert isinstance(footage, FrameFolder)
    assert footage.numbers == [999, 1000, 1001]
    assert [image.mean() for _, image in footage.read([0, 1, 2])] == [0, 10, 20]
    assert footage.decoded == 3


def test_a_grey_image_gets_three_channels(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), np.full((4, 5), 7, np.uint8))
    assert open_footage(folder).frame(0).shape == (4, 5, 3)


def bad_text(path):
    path.write_text("not a video\n" * 99)
    return path


BAD = [
    pytest.param(lambda at: at / "absent.avi", "no such file or folder", id="absent"),
    pytest.param(lambda at: bad_text(at / "text.avi"), "not a readable video", id="text named .avi"),
    pytest.param(lambda at: (at / "empty.avi").touch() or at / "empty.avi", "not a readable video", id="zero length"),
    pytest.param(lambda at: (at / "empty").mkdir() or at / "empty", "no frames in this folder", id="empty folder"),
    pytest.param(
        lambda at: write_frames(at / "twice", ["img1.png", "img01.png"]), "have the same number", id="one number twice"
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_media_are_one_clear_line(tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(MerError, match=message) as error:
        open_footage(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unreadable_image_is_named(tmp_path):
    folder = write_frames(tmp_path / "clip", ["1.png", "2.png"])
    (folder / "2.png").write_bytes(b"damaged")
    with pytest.raises(MerError, match=r"2\.png: not a readable image"):
        list(open_footage(folder).read([0, 1]))


def announcing(side):
    """A PNG whose header announces a square picture, of which a few hundred bytes are there."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(9999)))]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("side", [10_001, 20_000, 40_000])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch, recwarn, side):
    folder = write_frames(tmp_path / "clip", ["1.png"])
    (folder / "1.png").write_bytes(announcing(side))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(MerError, match=r"1\.png: a picture of more than 100 megapixels"):
        open_footage(folder).frame(0)
    assert not recwarn


def test_what_opencv_refuses_to_decode_is_one_line(tmp_path, monkeypatch):
    def refuse(*_):
        raise cv2.error("validateInputImageSize")

    folder = write_frames(tmp_path / "clip", ["1.png"])
    monkeypatch.setattr(cv2, "imdecode", refuse)
    with pytest.raises(MerError, match=r"1\.png: not a readable image"):
        open_footage(folder).frame(0)


def test_a_picture_that_opencv_alone_reads_is_still_read(tmp_path):
    folder = write_frames(tmp_path / "clip", ["1.png"])
    cv2.imwrite(str(tmp_path / "1.hdr"), np.full((8, 9, 3), 0.5, np.float32))
    (tmp_path / "1.hdr").replace(folder / "1.png")
    assert open_footage(folder).frame(0).shape == (8, 9, 3)


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_outside_the_clip_is_refused(tmp_path, index):
    footage = open_footage(write_frames(tmp_path / "clip", ["1.png", "2.png"]))
    with pytest.raises(MerError, match=f"frame {index} is outside"):
        list(footage.read([index]))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("img46.jpg", 46),
        ("reg_img046.jpg", 46),
        ("006_05562.jpg", 5562),
        ("7.jpg", 7),
        ("S1.take2", 1),
        ("x.jpg", None),
    ],
)
def test_frame_number(name, number):
    assert frame_number(name) == number


AWKWARD = [
    pytest.param("clip.ts", "mpegts", "mpeg2video", 2, id="MPEG-TS"),
    pytest.param("clip.ts", "mpegts", "libx264", 2, id="MPEG-TS of H.264"),
    pytest.param("clip.asf", "asf", "mpeg2video", 2, id="ASF, whose first key frame cannot be sought"),
    pytest.param("clip.avi", "avi", "mpeg2video", 0, id="AVI, whose first key frame cannot be sought"),
    pytest.param("clip.h264", "h264", "libx264", 0, id="a raw stream without times"),
]


@pytest.mark.parametrize(("name", "kind", "codec", "b_frames"), AWKWARD)
def test_a_container_whose_times_mislead_is_counted(tmp_path, name, kind, codec, b_frames):
    with av.open(str(tmp_path / name), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.max_b_frames, stream.codec_context.gop_size = b_frames, 5
        for i in range(LENGTH):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), i * 6, np.uint8))))
        container.mux(stream.encode())
    footage = open_footage(tmp_path / name)
    for wanted in ([0, 1, LENGTH - 1], [17, 30], list(range(LENGTH)), [LENGTH - 2]):
        got = {index: image.mean() / 6 for index, image in footage.read(wanted)}
        assert list(got) == wanted
        assert max(abs(level - index) for index, level in got.items()) < 1


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.txt", "list.ffconcat"])
@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{}'\n"],
    ids=["playlist", "concat"],
)
def test_a_file_that_names_others_shows_none_of_them(tmp_path, name, text):
    with av.open(str(tmp_path / "private.ts"), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode())
    for there in ("private.ts", tmp_path / "private.ts"):
        (tmp_path / name).write_text(text.format(there))
        with pytest.raises(MerError, match="not a readable video"):
            open_footage(tmp_path / name)


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(tmp_path):
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + struct.pack("<HH", 64064, 240) + bytes(3) + b"\x2c" + bytes(40) + b";")
    with pytest.raises(MerError, match=r"64064x240 pixels, more than 16384 a side|not a readable video"):
        open_footage(tmp_path / "a.gif")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(MerError, match="neither a file nor a folder"):
        open_footage(tmp_path / "a.mp4")
    (tmp_path / "frames").mkdir()
    os.mkfifo(tmp_path / "frames" / "1.png")
    footage = open_footage(tmp_path / "frames")
    for use in (lambda: footage.frame(0), lambda: footage.content([0])):
        with pytest.raises(MerError, match="not a file"):
            use()
