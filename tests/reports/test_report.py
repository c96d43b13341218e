import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mer_pipeline import networks
from mer_pipeline.errors import MerError
from mer_pipeline.figures.panels import attention
from mer_pipeline.inference.trained import rebuild
from mer_pipeline.inputs.cached import CachedClips
from mer_pipeline.networks import LEAST_MOVES, LineMap
from mer_pipeline.reports import write_report
from mer_pipeline.runs.run import Run
from mer_pipeline.runs.weights import load_network
from tests.reports import pages

OPTIMISTIC = "optimistic: epoch chosen on the test fold"


@pytest.fixture(scope="module")
def page(run, cache, tmp_path_factory) -> str:
    return write_report(run, tmp_path_factory.mktemp("page") / "report.html", cache=cache).read_text()


def text_of(page: str) -> str:
    """What a reader sees: no tags, one space between words."""
    body = re.sub(r"<(style|title)[^>]*>.*?</\1>", "", page[page.index("<body") :], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_the_honest_score_stands_before_the_optimistic_one(page, run):
    metrics = pages.read(run / "metrics.json")
    seen = text_of(page)
    honest, optimistic = page.index('id="honest"'), page.index('id="optimistic"')
    assert honest < optimistic
    assert f"{metrics['uf1']:.3f}" in page[honest:optimistic]
    low, high = metrics["intervals95"]["uf1"]
    assert f"95 % interval over subjects {low:.3f} to {high:.3f}" in seen
    assert f"{metrics['oracle']['uf1']:.3f}</span> {OPTIMISTIC}" in page
    assert seen.index("UF1, last epoch") < seen.index(OPTIMISTIC)


def test_the_page_says_what_the_run_says(page, run):
    metrics, facts, seen = pages.read(run / "metrics.json"), pages.read(run / "run.json"), text_of(page)
    assert "each holding out one subject (LOSO), on 15 clips of 3 subjects of casme2" in seen
    for name, control in metrics["controls"].items():
        assert name in seen
        assert control["verdict"].removeprefix("the image is") in seen
        assert f"{control['uf1']:.3f}" in seen
    assert re.search(r"(?i)the image is (not )?shown to add", seen)
    for source in metrics["by_aus"].values():
        assert f"{source['uf1']:.3f}" in seen
    rows = re.findall(r'<td class="cell[^"]*"[^>]*><b>(\d+)</b>', page)
    assert [int(count) for count in rows] == [count for row in metrics["confusion"] for count in row]
    assert sum(int(a) for a in re.findall(r"(\d+) of \d+</em>", page)) == np.trace(metrics["confusion"])
    for angle in metrics["theta_deg"]:
        assert f"{angle:.1f}°" in seen
    assert f"{metrics['calibration']['ece_before']:.3f}" in seen
    assert "never used to choose" in seen
    for value in (facts["versions"]["torch"], facts["data"]["fingerprint"], facts["hardware"]["device"]):
        assert value in seen
    differing = re.findall(r'<tr class="differs"><th scope="row">([^<]+)', page)
    assert "options.embed_dim" in differing  # the tiny model's differs from the network's default
    assert "options.head" not in differing
    assert "epochs" in differing
    assert "lr_decay" not in differing


def test_a_run_without_written_defaults_is_shown_beside_those_of_this_version(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    facts = pages.read(run / "run.json")
    assert facts.pop("defaults")["epochs"] == 99
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    page = write_report(tmp_path / "run").read_text()
    assert re.search(r'<tr class="differs"><th scope="row">epochs</th><td>1</td><td>99</td>', page)


def test_attention_is_shown_of_one_clip_of_each_class_over_a_drawn_face(page, run):
    held_out = Run(run)
    assert page.count('<article class="example">') == len(held_out.metrics.classes)
    drawn, absent = page.count('class="heat"'), page.count('<p class="map absent">not drawn</p>')
    assert drawn + absent == 6 * len(held_out.metrics.classes)  # four layers, motion and position
    ratios = [float(said) for said in re.findall(r"moves the answer ([0-9.]+) times as much as elsewhere", page)]
    assert len(ratios) == drawn + absent
    assert drawn >= sum(ratio > LEAST_MOVES for ratio in ratios) > 0
    assert page.count(">position</figcaption>") == len(held_out.metrics.classes)
    assert 'class="outline"' in page


def test_without_faces_every_picture_is_of_the_colours_of_attention(page):
    """Viridis has no skin in it: a pixel of a crop would have a colour that it lacks."""
    assert not re.search(r"<img|url\(data", page)
    found = re.findall(r"data:image/([^\"]+)", page)
    assert len(found) == page.count('class="heat"') > 0
    ramp = attention(np.tile(np.arange(256, dtype=np.float32), (256, 1)), "").image
    viridis = set(map(tuple, ramp[0].tolist()))
    for kind, content in (one.split(";base64,") for one in found):
        assert kind == "webp"
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
        assert set(map(tuple, shown.reshape(-1, 3).tolist())) <= viridis
    assert "holds no pixel of a face" in page


def test_with_faces_it_says_so(run, cache, tmp_path):
    page = write_report(run, tmp_path / "faces.html", cache=cache, with_faces=True).read_text()
    wrong = [p for p in Run(run).predictions if p.truth != p.predicted]
    absent = page.count('<p class="map absent">')
    assert page.count("<img") == 30 - absent + 3 * min(len(wrong), 8)  # maps; onset, apex, difference
    assert "<image" not in page
    assert "This page shows faces." in page
    assert 'class="outline"' not in page


def test_it_is_one_file_for_its_owner(run, cache, tmp_path, page):
    path = write_report(run, tmp_path / "r.html", cache=cache)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == page  # the same run, the same page
    for address in re.findall(r'(?:src|href|action)="([^"]*)"', page):
        assert address.startswith(("#", "data:")), address
    assert not re.search(r"https?://|@import|<script|<iframe|<object", page)
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_names_are_text(run, tmp_path):
    page = write_report(pages.with_hostile_names(run, tmp_path / "run")).read_text()
    assert "<script" not in page
    assert "onerror=alert(1)>" not in page
    assert page.count("&lt;script&gt;alert(") >= 4  # title, command, note, clip


def test_without_the_cache_it_says_how_to_get_the_maps(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    pages.edit(tmp_path / "run" / "run.json", cache=str(tmp_path / "gone"))
    page = write_report(tmp_path / "run").read_text()
    assert "mer report RUN --cache CACHE" in page
    assert 'class="heat"' not in page
    with pytest.raises(MerError, match=r"no faces to show: the cache .* is not here; add --cache CACHE"):
        write_report(tmp_path / "run", with_faces=True)


def test_a_run_judged_by_the_test_fold_shows_the_last_epoch_first(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    last = {"uf1": 0.111, "uar": 0.112, "accuracy": 0.113}
    metrics = pages.read(run / "metrics.json")
    pages.edit(
        tmp_path / "run" / "metrics.json", selection="oracle", selections={**metrics["selections"], "last": last}
    )
    page = write_report(tmp_path / "run").read_text()
    assert page.index("<span>0.111</span>") < page.index('id="optimistic"')
    assert f"The score above is of the last epoch, and so is everything below that is not called {OPTIMISTIC}" in page
    assert "never used to choose" not in page


def test_several_seeds(run, tmp_path):
    page = write_report(pages.of_two_seeds(run, tmp_path / "run")).read_text()
    assert "0.321</span><small> ± 0.012" in page
    assert "mean ± sd over 2 seeds" in page
    assert "Everything below is of all seeds" in page
    assert page.count('class="mark seed"') == 2 * 3 + 1  # two for each measure, one in the legend


def test_an_ablation(run, tmp_path):
    page = write_report(pages.of_ablation(run, tmp_path / "table")).read_text()
    seen = text_of(page)
    for part in ("+CVA", "control: svm", "a machine", "+0.050, p = 0.042", "no difference in UF1 is shown", OPTIMISTIC):
        assert part in seen
    for anchor in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{anchor}"' in page
    assert page.count("<details id=") == 2
    head = page[page.index("<thead>") : page.index("</thead>")]
    assert head.index("last epoch") < head.index(OPTIMISTIC)
    assert not re.search(r"<img|<image|data:image", page)


DAMAGE = [
    pytest.param("metrics.json", None, "this run is not finished; finish it with the same mer train", id="unfinished"),
    pytest.param("metrics.json", "{", "metrics.json: damaged or unreadable", id="no JSON"),
    pytest.param("metrics.json", '{"classes": []}', "damaged, or written by another version \\(lacks '", id="keys"),
    pytest.param("run.json", '{"recipe": 1}', "run.json: damaged, or written by another version", id="facts"),
    pytest.param("predictions.csv", None, "predictions.csv: absent or unreadable", id="no predictions"),
    pytest.param("predictions.csv", "clip_id,fold\na,b\n", "predictions.csv: damaged", id="columns"),
    pytest.param("predictions.csv", b"\xff\xfe\x00", "predictions.csv: damaged", id="no text"),
]


@pytest.mark.parametrize(("file", "content", "message"), DAMAGE)
def test_damage_is_told_in_one_line(run, tmp_path, file, content, message):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / file
    path.unlink() if content is None else path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MerError, match=message) as told:
        write_report(tmp_path / "run")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run" / "report.html").exists()


def test_damaged_folds_and_probabilities(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    pages.edit(tmp_path / "run" / "metrics.json")  # of an older version, which has no digest of the table
    table = tmp_path / "run" / "predictions.csv"
    original = table.read_text()
    head, first, *rest = original.splitlines()
    table.write_text("\n".join([head, first.rpartition(",")[0] + ",nan", *rest]))
    with pytest.raises(MerError, match=r"not in 0\.\.1"):
        write_report(tmp_path / "run")
    table.write_text(original.replace("casme2/01/", "casme2/77/", 1))
    with pytest.raises(MerError, match="no fold held out casme2/77"):
        write_report(tmp_path / "run")
    table.write_text(original)
    shutil.rmtree(next((tmp_path / "run" / "folds").iterdir()))
    with pytest.raises(MerError, match="holds 2 finished folds of 3"):
        write_report(tmp_path / "run")


def test_damaged_weights_leave_out_the_maps_unless_they_were_asked_for(run, cache, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for path in (tmp_path / "run" / "folds").glob("*/weights.safetensors"):
        path.write_bytes(b"no weights")
    assert "not a readable safetensors file" in write_report(tmp_path / "run").read_text()
    with pytest.raises(MerError, match="not a readable safetensors file"):
        write_report(tmp_path / "run", cache=cache)


def test_an_unfinished_ablation(run, tmp_path):
    folder = pages.of_ablation(run, tmp_path / "table")
    with pytest.raises(MerError, match="an ablation's page shows no clips"):
        write_report(folder, with_faces=True)
    (folder / "cva" / "metrics.json").unlink()
    with pytest.raises(MerError, match="cva: this run is not finished"):
        write_report(folder)
    (folder / "ablation.json").write_text(json.dumps({"wanted": ["cva"]}))
    with pytest.raises(MerError, match="this ablation is not finished; finish it with the same mer ablate command"):
        write_report(folder)


def test_a_network_is_shown_what_it_was_tested_on(run, cache):
    """The network of the fold that held a clip out gives, on the cached picture, the prediction that was recorded."""
    found, clips = Run(run), CachedClips(cache)
    for fold in found.folds:
        state, card = load_network(fold.folder)
        network = rebuild(state, card, fold.folder).eval()
        for prediction in (p for p in found.predictions if p.clip_id in fold.clips):
            batch = clips.batch(prediction.clip_id, network.view, card)
            with torch.no_grad():
                answer = network.run(batch).logits.softmax(1)[0]
            assert np.allclose(answer, prediction.probabilities, atol=1e-4)


@pytest.mark.parametrize("theta_deg", [0.0, 27.0, 90.0, 131.0])
def test_a_line_map_is_the_attention_at_every_pixel(theta_deg):
    """Read at a pixel between two lines, the map is what the network multiplied that pixel by."""
    torch.manual_seed(0)
    network = networks.build(
        "facesleuth-flow", classes=3, size=28, stem=[4, 4], channels=[4, 4, 8, 8], theta_deg=theta_deg
    ).eval()
    layer = network.motion.attentions[0]
    passed = []
    flow = torch.randn(1, 3, 28, 28)
    network.motion.stages[0].register_forward_hook(lambda module, inputs, output: passed.append(output))
    found = network.explain({"flow": flow, "aus": torch.zeros(1, 21), "aus_known": torch.zeros(1, dtype=torch.bool)})
    line = found.maps[0]
    assert isinstance(line, LineMap)
    weighted = layer.attend(passed[0])[0]
    ratio = (weighted / passed[0]).detach()[0]
    y, x = np.mgrid[0:28, 0:28] - 13.5
    turn = np.radians(line.theta_deg)
    along = (x * np.cos(turn) + y * np.sin(turn)) / 28
    places = np.linspace(line.start, line.end, len(line.values))
    assert places[0] <= along.min() + 1e-6
    assert places[-1] >= along.max() - 1e-6
    known = torch.isfinite(ratio).all(0) & (passed[0][0].abs() > 1e-4).all(0)
    read = torch.from_numpy(np.interp(along, places, line.values))
    assert known.sum() > 20
    assert torch.allclose(ratio.mean(0)[known].double(), read[known], atol=1e-4)


def test_rank_scores_and_dynamic_images_of_fdp():
    network = networks.build(
        "fdp",
        classes=3,
        size=32,
        depths=[1, 1, 1, 1],
        widths=[12, 24, 48, 96],
        stem=[4, 4, 4],
        image_widths=[4, 4, 4, 4],
    ).eval()
    found = network.explain({"sequence": torch.rand(1, 8, 1, 32, 32)})
    assert len(found.ranks.scores) == 8
    assert found.ranks.built.shape == found.ranks.target.shape == (32, 32)
    assert 0 <= found.ranks.built.min() <= found.ranks.built.max() <= 1
