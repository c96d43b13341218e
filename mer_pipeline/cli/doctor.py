"""`mer doctor`."""

from __future__ import annotations

from mer_pipeline.cli import flags
from mer_pipeline.cli.common import say_json, say_table


def doctor(as_json: flags.Json = False) -> None:
    """Show versions, devices and codecs, what is missing and how to get it."""
    from mer_pipeline.doctor import examine

    checks = examine()
    if as_json:
        say_json(checks)
        return
    say_table("mer doctor", ("what", "found", "to get it"), [tuple(check.values()) for check in checks])
