"""The chain from Python: a synthetic dataset, its crops in memory, one training, one prediction.

python examples/library.py /tmp/mer-example
"""

from __future__ import annotations

import sys
from pathlib import Path

from mer_pipeline.datasets import read_dataset
from mer_pipeline.inference import Predictor
from mer_pipeline.stages.preprocess import Parameters, preprocess
from mer_pipeline.synth import synthesise
from mer_pipeline.training import load_clips, load_recipe, train


def main(folder: Path, epochs: int = 10) -> None:
    """Run everything below a new folder."""
    raw = synthesise(folder / "raw", subjects=3, clips=5)
    annotations = read_dataset(raw)
    preprocess(annotations, folder / "cache", Parameters(size=64))
    clips = load_clips(folder / "cache")
    print(f"{len(clips.clip_ids)} clips, {clips.class_counts}")
    run = train(clips, load_recipe("facesleuth-tiny", {"epochs": epochs}), folder / "run")
    optimistic, note = run.metrics.optimistic
    print(f"UF1 {run.metrics.scores.uf1:.2f} (last epoch), {optimistic.uf1:.2f} ({note})")
    with Predictor(run.folder) as predictor:
        result = predictor(annotations.clips[0].source, fps=200)
    for expression in result.expressions:
        print(expression.onset_frame, expression.apex_frame, expression.emotion)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
