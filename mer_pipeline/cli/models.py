"""`mer models`."""

from __future__ import annotations

from mer_pipeline.cli.common import Json, say, say_json, say_table


def models(as_json: Json = False) -> None:
    """List the models of the zoo; each has a recipe and a card."""
    from mer_pipeline.training.recipe import zoo, zoo_table

    rows = zoo_table()
    if as_json:
        say_json(rows)
        return
    cells = [(row["name"], f"{row['parameters']:,}", row["source"]) for row in rows]
    say_table(
        "models (parameters at 224 x 224, or 28 x 28 for flow, with 5 classes)", ("name", "parameters", "source"), cells
    )
    say(f"cards and recipes: {zoo()}")
