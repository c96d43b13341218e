import numpy as np
import pandas as pd
import pytest

from mer_pipeline.datasets import read_dataset
from mer_pipeline.errors import MerError
from mer_pipeline.facs import AU_NUMBERS, parse_aus
from mer_pipeline.synth import Options, synthesise
from mer_pipeline.synth.action_units import ACTION_UNITS, AT_REST
from mer_pipeline.synth.skin.computed import compute_motion
from mer_pipeline.synth.skin.content import GROUPS, NO_EXPRESSION, VOCABULARY, Contraction, draw_content
from mer_pipeline.synth.skin.drawn import MUSCLES_ALONE, SkinMotion, draw_motion
from mer_pipeline.synth.skin.people import Crops, draw_faces
from mer_pipeline.synth.skin.sketch import sketch

ONE_CROP = Crops(pupils=(0.5, 0.5), eyes=(0.25, 0.25), aspect=(1, 1), centre=0, roll=0)


@pytest.fixture(scope="module")
def motion() -> SkinMotion:
    return draw_motion(4, 1500, crops=ONE_CROP, disturbances=MUSCLES_ALONE)


def test_every_action_unit_that_moves_skin_can_be_drawn():
    assert set(ACTION_UNITS) == set(AU_NUMBERS)
    assert {anchor for unit in ACTION_UNITS.values() for pull in unit.pulls for anchor in pull.anchors} == set(AT_REST)


@pytest.mark.parametrize("make", [draw_motion, compute_motion], ids=["drawn", "computed"])
def test_the_same_seed_gives_the_same_bits(make):
    one, again, other = (make(seed, 3) for seed in ((5, 1), (5, 1), (5, 2)))
    np.testing.assert_array_equal(one.flow, again.flow)
    assert one.contents == again.contents
    assert not np.array_equal(one.flow, other.flow)


def test_groups_have_their_shares_and_coders_their_words(motion):
    shares = np.bincount(motion.groups, minlength=4) / len(motion.groups)
    assert shares == pytest.approx([0.25] * 4, abs=0.06)
    for content in motion.contents:
        assert sorted(parse_aus(content.coded).numbers) == sorted(content.numbers)
        assert (content.kind in NO_EXPRESSION) == (content.group == "none") == (not content.numbers)
        if content.numbers:
            assert "+".join(map(str, content.numbers)) in VOCABULARY[content.group]


@pytest.mark.parametrize(
    ("number", "place", "direction"),
    [
        (12, (0.71, 0.71), (1, -1)),  # the person's left lip corner goes out and up
        (15, (0.71, 0.75), (0, 1)),
        (1, (0.6, 0.1), (0, -1)),
        (4, (0.6, 0.12), (-1, 1)),
        (26, (0.5, 0.95), (0, 1)),
    ],
    ids=["AU 12", "AU 15", "AU 1", "AU 4", "AU 26"],
)
def test_the_skin_goes_where_the_muscle_pulls_it(motion, number, place, direction):
    alone = [at for at, content in enumerate(motion.contents) if content.numbers == (number,)]
    assert len(alone) >= 3
    column, row = (round(share * 28) for share in place)
    moved = motion.flow[alone][:, :, row - 1 : row + 2, column - 1 : column + 2].mean((0, 2, 3))
    for found, expected in zip(moved, direction, strict=True):
        assert expected == 0 or np.sign(found) == expected


def test_a_side_alone_moves_more_than_the_other():
    rng = np.random.default_rng(1)
    one_sided = [c for c in (draw_content(rng, "positive") for _ in range(200)) if c.coded.startswith("L")]
    assert one_sided
    for content in one_sided:
        strength = {side: sum(c.strength for c in content.contractions if c.side == side and c.au in content.numbers)
                    for side in (-1, 1)}  # fmt: skip
        assert strength[1] > strength[-1]
    assert all(isinstance(each, Contraction) for content in one_sided for each in content.contractions)


def test_computed_flow_follows_the_drawn_one():
    clips = 30
    computed = compute_motion((6, 0), clips, none=0)
    truth = draw_motion((6, 0), clips, size=112, disturbances=MUSCLES_ALONE, none=0)
    assert [content.coded for content in computed.contents] == [content.coded for content in truth.contents]
    planted = truth.flow.reshape(clips, 2, 28, 4, 28, 4).mean((3, 5))
    each = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(planted, computed.flow, strict=True)]
    assert np.median(each) > 0.6


def test_a_sketch_shows_a_face_where_its_crop_has_it():
    rng = np.random.default_rng(3)
    faces = draw_faces(rng, 8, ONE_CROP)
    for face in range(8):
        picture = sketch(rng, faces, face, 112)
        assert picture.shape == (112, 112)
        assert 0 <= picture.min() < picture.max() <= 255
        # Pupils are darker than the cheeks below them.
        for side in (-1, 1):
            (pupil, cheek) = (faces.to_crop(face, np.array([[side * 0.5, down]]))[0] * 112 for down in (0, 0.35))
            (px, py), (cx, cy) = pupil.round().astype(int), cheek.round().astype(int)
            assert picture[py - 1 : py + 2, px - 2 : px + 3].mean() < picture[cy - 2 : cy + 3, cx - 2 : cx + 3].mean()


@pytest.mark.parametrize("given", [{"options": Options(noise=3)}, {"face": "photo.jpg"}], ids=["noise", "face"])
def test_what_flow_images_cannot_have_is_refused(given, tmp_path):
    with pytest.raises(MerError, match="leave out everything but --subjects, --clips and --seed"):
        synthesise(tmp_path / "raw", layout="flow", **given)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("layout", ["flow", "flow-computed"])
def test_flow_images_are_written_as_the_reader_of_the_published_ones_reads_them(layout, tmp_path):
    raw = synthesise(tmp_path / "raw", layout=layout, subjects=2, clips=3, seed=8)
    annotations = read_dataset(raw)
    assert [clip.clip_id for clip in annotations.clips][:2] == ["drawn/01/001", "drawn/01/002"]
    table = pd.read_csv(raw / "labels.csv", dtype=str)
    assert [str(clip.aus) for clip in annotations.clips] == table["aus"].tolist()
    assert {clip.kind for clip in annotations.clips} == {"flow"}
    assert set(table["emotion"]) <= set(GROUPS[:3])
