"""Frame-exact reading of clips, videos (PyAV) and folders of frames, behind one interface; writing videos."""

from mer_pipeline.video.excerpt import Excerpt, Window
from mer_pipeline.video.frame_files import find_clips
from mer_pipeline.video.source import Footage, FrameFolder, VideoFile, content_of, fingerprint, open_footage, read_image
from mer_pipeline.video.writer import FOR_MEASURING, H264, JpegVideoWriter, VideoWriter

__all__ = [
    "FOR_MEASURING",
    "H264",
    "Excerpt",
    "Footage",
    "FrameFolder",
    "JpegVideoWriter",
    "VideoFile",
    "VideoWriter",
    "Window",
    "content_of",
    "find_clips",
    "fingerprint",
    "open_footage",
    "read_image",
]
