"""Own clips without annotations: what is written can be corrected and given back."""

import csv

from mer_pipeline.datasets import read_dataset
from mer_pipeline.stages.preprocess import preprocess
from mer_pipeline.video import FOR_MEASURING, VideoWriter, open_footage


def test_spotted_key_frames_are_written_to_be_given_back(raw, tmp_path):
    source = open_footage(next(iter(sorted((raw / "CASME2-RAW" / "sub01").iterdir()))))
    own = tmp_path / "own"
    (own / "anna").mkdir(parents=True)
    with VideoWriter(own / "anna" / "a.mp4", 100, FOR_MEASURING) as writer:
        for _, image in source.read(range(len(source))):
            writer.write(image)
    (own / "clips.csv").write_text("clip,subject,emotion\nanna/a.mp4,1,happiness\n")
    summary = preprocess(read_dataset(own), tmp_path / "cache")
    assert list(summary.spotted) == ["own/1/anna-a.mp4"]
    written = (tmp_path / "cache" / "own" / "keyframes.csv").read_text()
    (row,) = csv.DictReader(written.splitlines())
    assert (row["clip"], row["subject"], row["emotion"]) == ("anna/a.mp4", "1", "happiness")
    assert row["flags"] == "; ".join(summary.spotted["own/1/anna-a.mp4"])
    (own / "clips.csv").write_text(written)
    (clip,) = read_dataset(own).clips
    assert [str(n) for n in (clip.onset_frame, clip.apex_frame, clip.offset_frame)] == [
        row["onset"], row["apex"], row["offset"],
    ]  # fmt: skip
    assert not preprocess(read_dataset(own), tmp_path / "cache").spotted
