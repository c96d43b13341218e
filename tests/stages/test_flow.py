import cv2
import numpy as np
import pandas as pd
import pytest

from mer_pipeline.cache import Store
from mer_pipeline.cache.manifest import read_manifests
from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError
from mer_pipeline.stages.flow import flow_image, motion, read_flow_image, strain
from mer_pipeline.stages.preprocess import Parameters, preprocess

SIZE = 96
METHODS = ["tvl1", "dis"]


@pytest.fixture(scope="module")
def face(raw, cache):
    table = read_manifests(cache)
    crops = Store(cache / "objects").get("crop", table["crop_key"].iloc[0]).arrays["crops"]
    return cv2.resize(crops[0], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def planted(amplitude):
    """A bump of motion up and to the left at the mouth corner, (2, SIZE, SIZE) pixels."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    bump = amplitude * np.exp(-((x - 60) ** 2 + (y - 66) ** 2) / (2 * 9**2))
    return np.stack([-bump, -0.5 * bump]).astype(np.float32)


def moved(image, flow):
    """The image after a motion: what was at p is at p + flow(p)."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    from_x, from_y = x.copy(), y.copy()
    for _ in range(20):
        back = [cv2.remap(part, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for part in flow]
        from_x, from_y = x - back[0], y - back[1]
    return cv2.remap(image, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("amplitude", [0.5, 1.5])
def test_planted_motion_is_found_in_pixels_of_the_crop(face, method, amplitude):
    truth = planted(amplitude)
    found = motion(face, moved(face, truth), method)
    assert (found.shape, found.dtype) == ((3, SIZE, SIZE), np.float16)
    error = np.hypot(*(found[:2] - truth))
    strong = np.hypot(*truth) > 0.3 * amplitude
    assert error[strong].mean() < 0.25 * amplitude
    assert error[~strong].mean() < 0.06 * amplitude
    # Its direction and most of its length are there.
    assert found[0][strong].mean() == pytest.approx(truth[0][strong].mean(), rel=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_a_still_face_does_not_move(face, method):
    assert np.abs(motion(face, face, method)).max() < 0.02
    rng = np.random.default_rng(0)
    first, second = (np.clip(np.rint(face + rng.normal(0, 1, face.shape)), 0, 255).astype(np.uint8) for _ in range(2))
    assert np.percentile(np.hypot(*motion(first, second, method)[:2].astype(float)), 95) < 0.15


def test_long_motion_is_not_clipped(face):
    far = np.roll(face, 6, axis=1)
    assert np.median(motion(face, far, "tvl1")[0][:, 20:-20]) == pytest.approx(6, abs=0.5)


def test_strain_of_known_fields():
    y, x = np.mgrid[:20, :20].astype(np.float32)
    nothing = np.zeros_like(x)
    cases = {
        "shift": (np.stack([nothing + 3, nothing - 2]), 0.0),
        "stretch": (np.stack([0.1 * x, nothing]), 0.1),
        "growth": (np.stack([0.1 * x, 0.1 * y]), 0.1 * np.sqrt(2)),
        "shear": (np.stack([0.1 * y, nothing]), 0.1 / np.sqrt(2)),
        "small turn": (np.stack([-0.1 * y, 0.1 * x]), 0.0),
    }
    for name, (flow, expected) in cases.items():
        assert np.allclose(strain(flow), expected, atol=1e-6), name


def test_a_flow_image_stretches_each_channel_on_its_own():
    y, x = np.mgrid[:56, :56].astype(np.float16)
    picture = flow_image(np.stack([x, -3 * y, np.full_like(x, 0.5)]))
    assert (picture.shape, picture.dtype) == ((28, 28, 3), np.uint8)
    assert picture[0, 0].tolist() == [0, 255, 0]
    assert picture[-1, -1].tolist() == [255, 0, 0]  # a channel without any difference is 0
    assert np.array_equal(picture[0, :, 0], np.rint(np.arange(28) / 27 * 255))


@pytest.mark.shared
def test_published_images_are_stretched_as_ours_are(shared):
    files = sorted((shared / "megc2019_flow" / "images").glob("*.png"))
    assert len(files) == 309
    for file in files[::10]:
        channels = cv2.imread(str(file)).reshape(-1, 3)
        assert channels.min(0).tolist() == [0, 0, 0]
        assert channels.max(0).tolist() == [255, 255, 255]


@pytest.fixture(scope="module")
def exported(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion")
    parameters = Parameters(size=SIZE, motion="dis")
    summary = preprocess(read_dataset(raw), folder / "cache", parameters, flow_images=folder / "flow")
    assert summary.flow_images == summary.ok == 15
    assert summary.stages["motion"] == {"computed": 15, "cached": 0, "failed": 0}
    return folder


def test_motion_is_cached_and_listed(raw, exported):
    again = preprocess(read_dataset(raw), exported / "cache", Parameters(size=SIZE, motion="dis"))
    assert again.stages["motion"] == {"computed": 0, "cached": 15, "failed": 0}
    table = read_manifests(exported / "cache")
    assert set(table["motion"]) == {"dis"}
    flow = Store(exported / "cache" / "objects").get("motion", table["motion_key"].iloc[0]).arrays["flow"]
    assert (flow.shape, flow.dtype) == ((3, SIZE, SIZE), np.float16)


def test_exported_flow_images_are_a_dataset_of_the_same_clips(raw, exported):
    found = read_dataset(exported / "flow")
    assert found.dataset == "megc2019_flow"
    assert not found.problems
    assert [(c.clip_id, c.emotion, c.kind) for c in found.clips] == [
        (c.clip_id, c.emotion, "flow") for c in read_dataset(raw).clips
    ]
    preprocess(found, exported / "again")
    table = read_manifests(exported / "again")
    assert (table["status"] == "ok").all()
    assert set(table["size"]) == {28}
    assert not [path for path in (exported / "flow").rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert len(pd.read_csv(exported / "flow" / "labels.csv")) == 15


def test_an_exported_image_holds_the_motion(exported):
    row = read_manifests(exported / "cache").iloc[0]
    flow = Store(exported / "cache" / "objects").get("motion", row["motion_key"]).arrays["flow"]
    image = pd.read_csv(exported / "flow" / "labels.csv")["image"].iloc[0]
    read = read_flow_image(exported / "flow" / image).astype(np.float32)
    small = [cv2.resize(channel.astype(np.float32), (28, 28), interpolation=cv2.INTER_AREA) for channel in flow]
    for ours, theirs in zip(small, read, strict=True):
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999


def test_flow_images_need_motion(raw, tmp_path):
    with pytest.raises(ValueError, match="need a method of motion"):
        preprocess(read_dataset(raw), tmp_path, Parameters(), flow_images=tmp_path / "f")
    with pytest.raises(MerError, match="no motion is called 'farneback'"):
        Parameters(motion="farneback")
