"""What the campaign damages copies of: a small synthetic set, its cache, a run, models, videos, sheets; digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import openpyxl

from mer_pipeline.cache import Store
from mer_pipeline.cache.manifest import read_manifests, rows_of
from mer_pipeline.datasets import read_dataset
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.faces.face_mesh import install, rewrite
from mer_pipeline.faces.face_mesh.models import DETECTOR, MESH, read_models, sha256
from mer_pipeline.inputs.clip_set import load_clips
from mer_pipeline.recipe import load_recipe
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.training import train

PARAMETERS = Parameters(size=32, detector=Detector("none"))
RECIPE = {"epochs": 2, "batch": 4}
_CONTAINERS = (
    ("mpeg4", "avi"), ("mjpeg", "avi"), ("h264", "mp4"), ("mpeg4", "mov"), ("h264", "mkv"), ("libvpx", "webm"),
    ("mpeg2video", "ts"), ("h264", "ts"), ("mpeg1video", "mpg"), ("flv1", "flv"), ("wmv2", "asf"), ("gif", "gif"),
    ("apng", "apng"), ("ffv1", "nut"), ("mpeg4", "3gp"), ("mpeg2video", "mxf"), ("libtheora", "ogv"), ("h264", "h264"),
    ("rawvideo", "y4m"), ("libvpx", "ivf"), ("mjpeg", "mjpeg"), ("png", "png"),
)  # fmt: skip
_FORMATS = {"mkv": "matroska", "ts": "mpegts", "mpg": "mpegvideo", "ogv": "ogg", "y4m": "yuv4mpegpipe", "png": "image2"}


@dataclass(frozen=True)
class Undisturbed:
    """What damaged copies are made of, and compared with.

    Attributes:
        folder: Holds `raw`, `cache`, `run`, `network.onnx`, `models`, `mediapipe.whl`, `own.task`, `videos`, `sheets`.
        digests: Of what nothing has disturbed, by the names of `works`.
    """

    folder: Path
    digests: Mapping[str, str]

    @property
    def videos(self) -> list[Path]:
        """One video of every container that could be written."""
        return sorted((self.folder / "videos").iterdir())

    @property
    def works(self) -> dict[str, Work]:
        """What `mer preprocess`, `train`, `setup` and `synth` do, by what they make."""
        sources = {name: self.folder / name for name in ("raw", "cache", "mediapipe.whl")}
        return {
            "cache": Work(lambda at: make_cache(sources["raw"], at), digest_of_cache, 0.8),
            "run": Work(lambda at: make_run(sources["cache"], at), digest_of_run, 6.0),
            "models": Work(lambda at: install.install(sources["mediapipe.whl"], at), digest_of_models, 0.3),
            "few": Work(_make_few, digest_of_set, 1.5),
        }


@dataclass(frozen=True)
class Work:
    """Something that may be disturbed.

    Attributes:
        do: Makes it, or goes on with it, in a folder.
        digest: Of the finished folder.
        longest_s: About how long it takes.
    """

    do: Callable[[Path], object]
    digest: Callable[[Path], str]
    longest_s: float


def prepare(folder: Path, onnx: bool = True, wheel: Path | None = None) -> Undisturbed:
    """Make what the cases need: a synthetic set, its cache, a run, an ONNX file, models, videos and sheets.

    Args:
        folder: Where.
        onnx: Whether the network is exported too, which takes seconds.
        wheel: That of mediapipe 0.10.21; without it, the models that are installed stand in for what it holds.
    """
    raw = synthesise(folder / "raw", subjects=2, clips=3, seed=1)
    make_cache(raw, folder / "cache")
    make_run(folder / "cache", folder / "run")
    if onnx:
        from mer_pipeline.inference.export import export

        export(folder / "run", folder / "network.onnx")
    _write_videos(folder / "videos")
    _write_sheets(folder / "sheets")
    _write_wheel(folder / "mediapipe.whl", wheel)
    made = Undisturbed(folder, {})
    for name in ("models", "few"):
        made.works[name].do(folder / name)
    with zipfile.ZipFile(folder / "own.task", "w") as task:
        for name in (DETECTOR, MESH):
            task.write(folder / "models" / name, name)
    return Undisturbed(folder, {name: work.digest(folder / name) for name, work in made.works.items()})


def _make_few(folder: Path) -> None:
    synthesise(folder, subjects=1, clips=2, seed=3, options=Options(), layout="casme2")


def _write_wheel(path: Path, wheel: Path | None) -> None:
    """A wheel with the two models and nothing else."""
    if wheel is None:
        stand_in_for_wheel()
        models = read_models()
        contents = dict(zip(install._FILES, (models.detector, models.mesh), strict=True))
    else:
        with zipfile.ZipFile(wheel) as archive:
            contents = {name: archive.read(name) for name in install._FILES}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def stand_in_for_wheel() -> None:
    """Make `mer setup` take the models that are installed, which are rewritten already, from a wheel of them."""
    models = read_models()
    digests = (sha256(models.detector), sha256(models.mesh))
    install._FILES.update(zip(install._FILES, digests, strict=True))
    rewrite.rewrite = lambda model: model


def make_cache(raw: Path, cache: Path) -> None:
    """What `mer preprocess` does."""
    preprocess(read_dataset(raw), cache, PARAMETERS)


def make_run(cache: Path, run: Path) -> None:
    """What `mer train` does."""
    train(load_clips(cache), load_recipe("facesleuth-tiny", RECIPE), run, device="cpu")


def digest_of_cache(cache: Path) -> str:
    """All rows of its manifest, and every artefact that these name."""
    digest, store = hashlib.sha256(), Store(cache / "objects")
    rows = rows_of(read_manifests(cache))
    for row in rows:
        digest.update(repr(row).encode())
        for stage in ("detect", "align", "crop"):
            found = store.get(stage, str(row.key(stage)))
            assert found is not None, f"{row.clip_id} lacks its {stage}"
            digest.update(json.dumps(dict(found.facts), sort_keys=True).encode())
            for name, array in sorted(found.arrays.items()):
                digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    assert rows, "no clip"
    return digest.hexdigest()


def digest_of_run(run: Path) -> str:
    """All that it says, but how long it took and where it lies; weights and card of the network for prediction."""
    found = Run(run).check()
    metrics = {key: value for key, value in found.metrics.as_json().items() if key not in ("seconds", "run")}
    facts = {key: value for key, value in found.facts.as_json().items() if key not in ("cache", "command")}
    told = [metrics, facts, [fold.as_json() for fold in found.folds], [str(p) for p in found.predictions]]
    digest = hashlib.sha256(json.dumps([*told, dict(found.control_predictions)], sort_keys=True).encode())
    digest.update(_digest_of_network(run).encode())
    return digest.hexdigest()


def digest_of_models(folder: Path) -> str:
    """Of both models, and of what the record says of them."""
    found = read_models(folder)
    return sha256(repr((found.identity, sha256(found.detector), sha256(found.mesh))).encode())


def digest_of_set(folder: Path) -> str:
    """All frames of a synthetic set, and what its sheet says."""
    clips = read_dataset(folder).clips
    assert len(clips) == 2, "not all clips"
    digest = hashlib.sha256(repr([replace(clip, source=clip.source.relative_to(folder)) for clip in clips]).encode())
    for path in sorted(folder.rglob("*.jpg")):
        digest.update(f"{path.relative_to(folder)}".encode() + path.read_bytes())
    return digest.hexdigest()


def _digest_of_network(path: Path) -> str:
    state, card = load_network(path)
    digest = hashlib.sha256(json.dumps(card.as_json(), sort_keys=True).encode())
    for name, tensor in sorted(state.items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def _write_videos(folder: Path) -> None:
    folder.mkdir()
    for codec, suffix in _CONTAINERS:
        path = folder / f"{codec}.{suffix}"
        with contextlib.suppress(av.error.FFmpegError, ValueError):  # a build need not have every encoder
            _write_video(path, codec, _FORMATS.get(suffix))
        if path.is_file() and not path.stat().st_size:
            path.unlink()
    assert len(list(folder.iterdir())) >= 10
    for width, height in ((1, 1), (2, 700), (4000, 2), (16, 16)):
        _write_video(folder / f"{width}x{height}.apng", "apng", None, width, height)


def _write_video(path: Path, codec: str, kind: str | None, width: int = 96, height: int = 64) -> None:
    formats = {"mjpeg": "yuvj420p", "gif": "rgb8", "apng": "rgb24", "png": "rgb24"}
    with av.open(str(path), "w", format=kind) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, formats.get(codec, "yuv420p")
        for index in range(1 if path.suffix == ".png" else 16):
            image = np.full((64, 96, 3), 12 * index, np.uint8)
            image[10:40, index : index + 30] = np.random.default_rng(0).integers(0, 255, (30, 30, 3))
            image = np.resize(image, (height, width, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


_ROWS = (
    ("clip", "subject", "emotion", "onset", "apex", "offset", "aus", "fps"),
    ("anna/微笑", "anna", "happiness", "1", "2", "3", "6+12", "200"),
    ("bob", "bob", "surprise", "1", "", "4", "1+2", ""),
    ("carl", "carl", "厌恶", "0", "2", "3", "4,R9", "100"),
)


def _write_sheets(folder: Path) -> None:
    import xlwt  # type: ignore[import-untyped]

    for clip in ("anna/微笑", "bob", "carl"):
        (folder / "set" / clip).mkdir(parents=True)
        for frame in range(5):
            (folder / "set" / clip / f"{frame}.png").touch()
    book, old = openpyxl.Workbook(), xlwt.Workbook()
    page = old.add_sheet("clips")
    for number, row in enumerate(_ROWS):
        book.active.append(row)
        for column, cell in enumerate(row):
            page.write(number, column, cell)
    book.active.merge_cells("B6:C7")
    book.active["H8"] = "=1+1"
    book.save(folder / "clips.xlsx")
    old.save(str(folder / "clips.xls"))
    text = "\r\n".join(",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in _ROWS)
    for encoding in ("utf-8", "gb18030", "utf-16"):
        (folder / f"clips-{encoding}.csv").write_bytes(text.encode(encoding))
    (folder / "corrections.csv").write_text(
        "dataset,subject,clip,field,old,new,reason,source\nset,bob,bob,onset,1,2,seen by eye,us\n"
    )
    (folder / "split.csv").write_text("split,subject\ntrain,set/anna\ntrain,set/bob\ntest,set/carl\n")
    (folder / "labels.toml").write_text(
        'name = "mine"\n[classes]\ngood = ["happiness"]\nbad = ["disgust", "surprise"]\n'
    )


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder for one case."""
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
