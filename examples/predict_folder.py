"""Every video of a folder: a table, and a picture of each expression.

python examples/predict_folder.py videos/ runs/first out/
"""

from __future__ import annotations

import sys
from pathlib import Path

import mer_pipeline as mer


def main(videos: Path, run: Path, out: Path) -> None:
    """Predict; what cannot be read has its reason in the table."""
    clips = sorted(path for path in videos.iterdir() if not path.name.startswith("."))
    pictures, results = mer.PredictionFiles(None, out / "expression.png", len(clips)), []
    with mer.Predictor(run) as predictor:
        for clip in clips:
            try:
                result = predictor(clip, on_expression=pictures.on_expression)
            except mer.MerError as error:
                result = mer.ClipResult(str(clip), error=str(error))
            results.append(result)
            print(clip.name, [found.emotion for found in result.expressions] or result.error)
    mer.write_csv(out / "expressions.csv", results)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
