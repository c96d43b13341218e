"""Runs and ablations made from a finished one, for pages that would take minutes to train."""

import json
import shutil
from pathlib import Path

from mer_pipeline.reading import read_json

HOSTILE = 'casme2/01/<script>alert("x")</script>&<img src=x onerror=alert(1)>'


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps({**read(path), **changes}))


def read(path: Path) -> dict:
    """What a JSON file holds without checksums, as files of older versions are."""
    values = read_json(path)
    values.pop("files", None)
    return values


def of_two_seeds(run: Path, folder: Path) -> Path:
    for seed in (0, 1):
        shutil.copytree(run, folder / f"seed-{seed}")
    shutil.copy(run / "run.json", folder / "run.json")
    one = read(run / "metrics.json")
    scores = {name: one[name] for name in ("accuracy", "uf1", "uar", "theta_deg")}
    together = {
        **one,
        "uf1": 0.321,
        "seeds": [0, 1],
        "sd": {"accuracy": 0.01, "uf1": 0.0123, "uar": 0.03, "weighted_f1": 0.02},
        "runs": [{"run": "x", **scores}, {"run": "y", **scores}],
    }
    (folder / "metrics.json").write_text(json.dumps(together))
    return folder


def of_ablation(run: Path, folder: Path) -> Path:
    rows = []
    for name, label in (("baseline", "baseline"), ("cva", "+CVA")):
        shutil.copytree(run, folder / name)
        summary = read(run / "metrics.json")
        first = name == "baseline"
        rows.append(
            {
                "name": name,
                "label": label,
                "model": summary["model"],
                "settings": {"attention": name, "position": False},
                "run": name,
                **{score: summary[score] for score in ("uf1", "uar", "accuracy", "intervals95", "oracle", "by_aus")},
                "sd": None,
                "against": None if first else "baseline",
                "difference": None if first else {"value": 0.05, "low": -0.01, "high": 0.11, "p_holm": 0.042},
                "p_seeds": None if first else 0.042,
                "verdict": "" if first else "no difference in UF1 is shown",
            }
        )
    rows.append(
        {
            "name": "svm",
            "label": "control: svm",
            "run": None,
            "what": "a machine",
            **dict.fromkeys(("uf1", "uar", "accuracy"), 0.4),
        }
    )
    facts = {name: read(run / "run.json")[name] for name in ("command", "versions", "hardware")}
    (folder / "ablation.json").write_text(json.dumps({"dataset": "casme2", "rows": rows, **facts}))
    return folder


def with_hostile_names(run: Path, folder: Path) -> Path:
    """Rename a clip in all files of a run to something that a page must not execute."""
    shutil.copytree(run, folder)
    clip = read(next((folder / "folds").glob("*/result.json")))["predictions"][0]["clip_id"]
    for path in (folder / "folds").glob("*/result.json"):
        result = read(path)
        for prediction in result["predictions"]:
            prediction["clip_id"] = HOSTILE if prediction["clip_id"] == clip else prediction["clip_id"]
        path.write_text(json.dumps(result))
    table = folder / "predictions.csv"
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    table.write_text(table.read_text().replace(f"{clip},", f"{quoted},"))
    edit(folder / "run.json", command=HOSTILE, notes=[HOSTILE], cache=None)
    edit(folder / "metrics.json", model=HOSTILE)
    return folder
