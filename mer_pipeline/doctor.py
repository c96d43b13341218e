"""What this machine has for `mer`, what it lacks, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform

import av
import torch

from mer_pipeline.device import choose_device, hardware
from mer_pipeline.errors import MerError
from mer_pipeline.faces.face_mesh.models import read_models, read_record
from mer_pipeline.version import __version__

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "ai-edge-litert",
    "opencv-contrib-python",
    "av",
    "numpy",
    "pandas",
    "scikit-learn",
)
# Extra -> module that shows whether it is installed, and what it is for.
_EXTRAS = {
    "demo": ("skimage", "the portrait of mer synth and mer demo"),
    "dlib": ("dlib", "dlib's face detector"),
    "mediapipe": ("mediapipe", "Face Mesh by MediaPipe's own package"),
    "export": ("onnxruntime", "ONNX files"),
    "web": ("starlette", "the page of mer serve"),
    "tensorboard": ("tensorboard", "training curves as event files"),
    "cluster": ("submitit", "job arrays on a Slurm cluster"),
    "ray": ("ray", "Ray clusters"),
}
_CODECS = ("h264", "hevc", "mjpeg", "mpeg4", "vp9", "av1", "ffv1")


def examine() -> list[dict[str, str]]:
    """Run every check: what was checked (`what`), what was found (`found`), and how to get what is missing (`fix`)."""
    checks = [_check("mer", __version__), _check("Python", platform.python_version())]
    checks += [_check(name, importlib.metadata.version(name)) for name in _PACKAGES]
    checks += [_opencv(), _face_models(), _device()]
    missing = [codec for codec in _CODECS if codec not in av.codecs_available]
    decodes = ", ".join(codec for codec in _CODECS if codec not in missing)
    checks.append(_check("video codecs", decodes, f"no {', '.join(missing)}: convert such videos" if missing else ""))
    for extra, (module, use) in _EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        checks.append(
            _check(f"extra {extra}", f"yes ({use})" if there else f"no ({use})", "" if there else _install(extra))
        )
    return checks


def _check(what: str, found: str, fix: str = "") -> dict[str, str]:
    return {"what": what, "found": found, "fix": fix}


def _opencv() -> dict[str, str]:
    """opencv-python beside opencv-contrib-python overwrites its files."""
    others = [
        name
        for name in ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless")
        if any(True for _ in importlib.metadata.distributions(name=name))
    ]
    fix = f"pip uninstall {' '.join(others)} && pip install --force-reinstall opencv-contrib-python" if others else ""
    return _check("OpenCV packages", ", ".join(["opencv-contrib-python", *others]), fix)


def _face_models() -> dict[str, str]:
    """Where the models of Face Mesh are, and what made them."""
    try:
        models, record = read_models(), read_record()
    except MerError as error:
        return _check("face models", f"{error.where}: {error.what}", str(error.fix))
    return _check("face models", f"{models.source}: from {record['source']}, by mer {record['versions']['mer']}")


def _device() -> dict[str, str]:
    facts = hardware(choose_device())
    found = facts.get("gpu") or f"{facts['processor']}, {facts['threads']} threads"
    fix = "" if torch.cuda.is_available() else "no GPU: everything works, training is slower; needs an NVIDIA driver"
    return _check("device", f"{facts['device']}: {found}", fix)


def _install(extra: str) -> str:
    return f"pip install 'mer-pipeline[{extra}]'"
