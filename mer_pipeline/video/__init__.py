"""Frame-exact reading of clips: videos (PyAV) and folders of frames, behind one interface."""

from mer_pipeline.video.source import Footage, FrameFolder, VideoFile, open_footage

__all__ = ["Footage", "FrameFolder", "VideoFile", "open_footage"]
