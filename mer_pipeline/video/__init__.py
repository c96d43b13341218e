"""Frame-exact reading of clips: videos (PyAV) and folders of frames, behind one interface."""

from mer_pipeline.video.source import Footage, FrameFolder, VideoFile, fingerprint, open_footage, read_image

__all__ = ["Footage", "FrameFolder", "VideoFile", "fingerprint", "open_footage", "read_image"]
