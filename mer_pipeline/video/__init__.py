"""Frame-exact reading of clips, videos (PyAV) and folders of frames, behind one interface; writing videos."""

from mer_pipeline.video.source import Footage, FrameFolder, VideoFile, fingerprint, open_footage, read_image
from mer_pipeline.video.writer import VideoWriter

__all__ = ["Footage", "FrameFolder", "VideoFile", "VideoWriter", "fingerprint", "open_footage", "read_image"]
