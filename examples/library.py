"""The chain from Python: a synthetic dataset, its crops in memory, one training, one prediction.

python examples/library.py /tmp/mer-example
"""

from __future__ import annotations

import sys
from pathlib import Path

import mer_pipeline as mer


def main(folder: Path, epochs: int = 10) -> None:
    """Run everything below a new folder."""
    raw = mer.synthesise(folder / "raw", subjects=3, clips=5)
    annotations = mer.read_dataset(raw)
    mer.preprocess(annotations, folder / "cache", mer.Parameters(size=64))
    clips = mer.load_clips(folder / "cache")
    print(f"{len(clips.clip_ids)} clips, {clips.class_counts}")
    run = mer.train(clips, mer.load_recipe("facesleuth-tiny", {"epochs": epochs}), folder / "run")
    optimistic, note = run.metrics.optimistic
    print(f"UF1 {run.metrics.scores.uf1:.2f} (last epoch), {optimistic.uf1:.2f} ({note})")
    with mer.Predictor(run.folder) as predictor:
        result = predictor(annotations.clips[0].source, fps=200)
    for expression in result.expressions:
        print(expression.onset_frame, expression.apex_frame, expression.emotion)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
