import numpy as np
import pytest

from mer_pipeline.figures import panels
from mer_pipeline.figures.attention_map import attention_map, img
from mer_pipeline.figures.panels import Panel, colour_flow, colour_wheel
from mer_pipeline.networks import CellMap, LineMap

GREY = np.full((32, 32, 3), 100, np.uint8)
RIGHT = np.stack([np.full((32, 32), 2.0), np.zeros((32, 32)), np.full((32, 32), 0.125)]).astype(np.float32)
RAMP = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)

PANELS = [
    pytest.param(panels.picture(GREY, "onset", 48), "onset", id="crop"),
    pytest.param(panels.difference(GREY, GREY + 11, 48), "apex − onset, × 10", id="difference"),
    pytest.param(panels.flow_colours(RIGHT, 2.0, 48, "DIS"), "flow by DIS; wheel's rim: 2 px", id="flow"),
    pytest.param(panels.flow_colours(RIGHT, 2.0, 48), "flow; wheel's rim: 2 px", id="flow, method unnamed"),
    pytest.param(panels.flow_arrows(RIGHT, GREY, 2.0, 48), "flow × 2, arrow below left 2 px", id="arrows"),
    pytest.param(panels.flow_on_face(RIGHT, GREY, 2.0, 48), "flow on the onset", id="flow on the face"),
    pytest.param(panels.strain(RIGHT[2], 48), "strain, 0 to 0.15 px per px", id="strain"),
    pytest.param(panels.attention(RAMP, "layer 1", GREY, 48), "layer 1", id="attention"),
    pytest.param(panels.dynamic_image(RAMP, "built", 48), "built", id="dynamic image"),
]


@pytest.mark.parametrize(("panel", "caption"), PANELS)
def test_a_panel_is_rgb_of_its_side_with_its_scale_in_words(panel, caption):
    assert (panel.image.shape, panel.image.dtype, panel.caption) == ((48, 48, 3), np.uint8, caption)


@pytest.mark.parametrize("image", [GREY[..., 0], GREY.astype(np.float32)], ids=["grey", "float"])
def test_a_panel_refuses_what_is_not_rgb(image):
    with pytest.raises(ValueError, match=r"expected \(side, side, 3\) uint8, got \(32, 32"):
        Panel("onset", image)


def test_differences_are_amplified():
    assert (panels.difference(GREY, GREY + 11).image == 238).all()
    assert (panels.difference(GREY, GREY).image == 128).all()
    assert (panels.difference(GREY + 1, GREY).image == 128 - 110).all()


def test_the_noise_of_single_pixels_does_not_set_the_factor_of_a_large_crop():
    noise = np.random.default_rng(0).integers(-9, 10, (448, 448, 1))
    noisy = (100 + np.repeat(noise, 3, -1)).astype(np.uint8)
    calm = np.full_like(noisy, 100)
    large, small = (panels.difference(calm[:px, :px], noisy[:px, :px]).caption for px in (448, 64))
    assert small == "apex − onset, × 12"  # 110 / 9
    assert int(large.rpartition(" ")[2]) > 2 * 10


@pytest.mark.parametrize(("uv", "box"), [((2, 0), (165, 160, 200, 170)), ((0, -2), (160, 130, 170, 165))])
def test_an_arrow_starts_at_its_pixel_and_points_along_the_flow(uv, box):
    flow = np.zeros((3, 32, 32), np.float32)
    still = panels.flow_arrows(flow, GREY, 2.0, 320).image
    flow[:2, 16, 16] = uv
    ys, xs = np.nonzero((panels.flow_arrows(flow, GREY, 2.0, 320).image != still).any(-1))
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == pytest.approx(box, abs=3)


def test_colours_of_flow():
    still = colour_flow(np.zeros((2, 4, 4), np.float32), 1.0)
    assert (still == 255).all()
    right = colour_flow(RIGHT, 1.5)
    assert right[0, 0].tolist() == [255, 0, 0]
    wheel = colour_wheel(41)
    assert wheel[20, 40].tolist()[0] == 255
    assert wheel[20, 20].tolist() == [255, 255, 255] == wheel[0, 0].tolist()


def test_attention_runs_from_viridis_dark_to_yellow():
    image = panels.attention(RAMP, "map").image
    assert (image[0, 0].tolist(), image[-1, -1].tolist()) == ([68, 1, 84], [253, 231, 37])
    even = panels.attention(np.full((4, 4), 3.0, np.float32), "map").image
    assert (even == even[0, 0]).all()


def test_lines_and_cells_at_every_pixel():
    down = panels.weights(LineMap("layer 1", 90.0, (0.0, 1.0), -0.5, 0.5, np.zeros((2, 2), np.float32)), 4)
    assert down == pytest.approx(np.repeat([[0.125], [0.375], [0.625], [0.875]], 4, 1))
    cells = np.arange(4, dtype=np.float32).reshape(2, 2)
    assert panels.weights(CellMap("position", cells), 4).tolist() == np.kron(cells, np.ones((2, 2))).tolist()


def test_a_map_stands_on_the_face_or_below_a_drawn_one():
    seen = CellMap("position", np.arange(4, dtype=np.float32).reshape(2, 2))
    drawn = attention_map(seen, "position", None, outline=True)
    assert drawn.count("data:image/webp") == 1
    assert 'class="outline"' in drawn
    assert 'aria-label="position"' in drawn
    assert 'class="outline"' not in attention_map(seen, "position", None, outline=False)
    assert "<svg" not in attention_map(seen, "position", GREY, outline=True)


def test_words_of_a_panel_are_escaped():
    assert '"><b>' not in img(Panel('"><b>', GREY))
