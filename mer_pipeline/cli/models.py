"""`mer models`."""

from __future__ import annotations

from mer_pipeline.choices import VIEW_WORDS
from mer_pipeline.cli import flags
from mer_pipeline.cli.common import say, say_json, say_table


def models(as_json: flags.Json = False) -> None:
    """List the models of the zoo; each has a recipe and a card."""
    from mer_pipeline.recipe import zoo, zoo_table

    rows = zoo_table()
    if as_json:
        say_json([row.as_json() for row in rows])
        return
    cells = [
        (row.name, f"{row.parameters:,}", f"{row.multiply_accumulates / 1e6:,.1f}",
         f"{VIEW_WORDS[row.view]}, {row.size} px", row.source)
        for row in rows
    ]  # fmt: skip
    say_table("models (with 5 classes; MMAC: million multiply-accumulates a clip)",
              ("name", "parameters", "MMAC", "is shown", "source"), cells)  # fmt: skip
    say(f"cards and recipes: {zoo()}")
