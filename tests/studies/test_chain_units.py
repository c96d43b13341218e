"""What is planted for the test of Action Units through the chain."""

import cv2

from mer_pipeline.datasets import read_dataset
from studies.chain_units import FILMED_FPS, RATES, combinations, film_sets


def test_all_seventeen_units_of_the_sheets_are_planted():
    assert list(combinations()) == [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 45]
    assert all(str(number) in each.aus for number, rows in combinations().items() for _, each in rows)


def test_slower_cameras_keep_frames_of_the_fastest(tmp_path):
    film_sets(tmp_path, seed=3, subjects=1, clips=1)
    sets = {rate: read_dataset(tmp_path / str(rate)).clips for rate in RATES}
    assert {rate: (len(clips), clips[0].fps) for rate, clips in sets.items()} == {rate: (1, rate) for rate in RATES}
    first = sets[FILMED_FPS][0]
    for rate, (clip,) in sets.items():
        step = FILMED_FPS / rate
        assert abs(clip.apex_frame * step - first.apex_frame) <= step / 2
        own, fastest = (
            cv2.imread(str(tmp_path / str(folder) / "s00" / "c000" / f"{int(frame):04d}.jpg"))
            for folder, frame in ((rate, clip.apex_frame), (FILMED_FPS, clip.apex_frame * step))
        )
        assert (own == fastest).all()
