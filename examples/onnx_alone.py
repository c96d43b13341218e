"""An exported network in a program without torch and without `mer`: numpy, OpenCV and onnxruntime are enough.

    mer export runs/first --out model.onnx
    python examples/onnx_alone.py model.onnx onset.png apex.png

The pictures are aligned crops of one face (see `mer preprocess`) of the size that the card names.
"""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import onnxruntime


def main(model: str, onset: str, apex: str) -> None:
    """Print the probability of each emotion, the likeliest first."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["card"])
    batch = {"aus": np.zeros((1, 21), np.float32), "aus_known": np.array([False])}  # the network's own estimate
    for name, path in (("onset", onset), ("apex", apex)):
        bgr = cv2.imread(path)
        if bgr is None or bgr.shape[:2] != (card["size"], card["size"]):
            raise SystemExit(f"{path}: not a picture of {card['size']}x{card['size']} pixels")
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
        normal = (rgb - np.float32(card["mean"])) / np.float32(card["std"])
        batch[name] = normal.transpose(2, 0, 1)[None].astype(np.float32)
    wanted = [each.name for each in session.get_inputs()]
    logits = session.run(["logits"], {name: batch[name] for name in wanted})[0][0] / card["temperature"]
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    for at in np.argsort(-probabilities):
        print(f"{card['classes'][at]} {probabilities[at]:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
