"""ELAN's annotation files, by `pympi`: a tier a kind, and the frames of each mark in its text."""

from __future__ import annotations

import re
from itertools import chain, count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mer_pipeline.datasets.coders.coding import EVENTS, NAMES, Coding, Moment, kind_named, to_ms
from mer_pipeline.errors import MerError
from mer_pipeline.reading import read_bytes

_RATE, _FRAMES = "mer-fps", "mer-frames"  # properties of the file, which ELAN keeps
_MOST_BYTES, _MOST_MS = 32 << 20, 10**10
_DEEPEST = 20  # tiers below tiers


def read(path: Path) -> tuple[Coding, list[Moment]]:
    """What the file says of its film, and its annotations; frames are not known yet.

    Raises:
        MerError: It is no .eaf file, larger than any, or holds no tier of expressions.
    """
    from pympi.Elan import Eaf

    content = read_bytes(path, _MOST_BYTES)
    # No .eaf file declares entities; one that does, or hides them in another encoding, is none.
    if b"\0" in content or re.search(rb"<!(?:DOCTYPE|ENTITY)", content, re.IGNORECASE):
        raise MerError("not an .eaf file: it declares entities, or is not in UTF-8", where=path)
    try:
        eaf = Eaf(str(path), suppress_version_warning=True)
        kinds = {tier: kind_named(tier) for tier in eaf.tiers}
        moments = [moment for tier, kind in kinds.items() if kind for moment in _moments(eaf, tier, kind)]
        film, origin_ms = _film(eaf, path)
        stated = {str(name): str(value) for name, value in eaf.properties}
        fps, frames = _number(stated.get(_RATE)), _number(stated.get(_FRAMES))
        subjects = [
            str(eaf.tiers[t][2].get("PARTICIPANT") or "") for t, kind in kinds.items() if kind in ("micro", "macro")
        ]
    except MerError:
        raise
    except Exception as error:  # pympi checks nothing: a damaged file raises whatever it stumbles over
        raise MerError("not a readable .eaf file", where=path, fix="open and save it in ELAN") from error
    if not subjects:
        wanted, there = ", ".join((*NAMES.values(), EVENTS[0])), ", ".join(sorted(kinds))[:200] or "none"
        fix = f"name its tiers {wanted}; it has {there}"
        raise MerError("no tier of expressions", where=path, fix=fix)
    plain = [kind for tier, kind in kinds.items() if "@" not in tier]
    doubled = [kind for kind in NAMES if plain.count(kind) > 1]
    warnings = tuple(f"several tiers hold {NAMES[kind]}: all of them count" for kind in doubled)
    shifted = [Moment(m.kind, m.start_ms + origin_ms, m.stop_ms + origin_ms, m.text) for m in moments]
    coding = Coding(film, fps, (), None if frames is None else int(frames), next(filter(None, subjects), ""), warnings)
    return coding, shifted


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 < number < 1e9 else None


def _film(eaf: Any, path: Path) -> tuple[Path, int]:
    """The first film that a file names, by its name alone, and where in it the file's time begins."""
    for media in eaf.media_descriptors:
        name = re.split(r"[/\\]", unquote(media.get("MEDIA_URL") or media.get("RELATIVE_MEDIA_URL") or ""))[-1]
        if name and not (media.get("MIME_TYPE") or "").startswith("audio"):
            return path.with_name(name), int(media.get("TIME_ORIGIN") or 0)
    return path.with_suffix(""), 0


def _moments(eaf: Any, tier: str, kind: str) -> list[Moment]:
    aligned, references = eaf.tiers[tier][:2]
    if kind in EVENTS:  # a transcript of speech, say, may have parts without a time of their own
        aligned = {name: one for name, one in aligned.items() if None not in (eaf.timeslots[at] for at in one[:2])}
        references = {}
    found = [Moment(kind, *_times(eaf, start, stop), text) for start, stop, text, _ in aligned.values()]
    for parent, text, *_ in references.values():
        for _step in range(_DEEPEST):
            of = eaf.tiers[eaf.annotations[parent]]
            if parent in of[0]:
                found.append(Moment(kind, *_times(eaf, *of[0][parent][:2]), text))
                break
            parent = of[1][parent][0]
    return found


def _times(eaf: Any, start: str, stop: str) -> tuple[int, int]:
    times = eaf.timeslots[start], eaf.timeslots[stop]
    if None in times or not 0 <= times[0] <= times[1] <= _MOST_MS:
        raise MerError("an annotation of unknown time", fix="set its boundaries in ELAN")
    return times


def to_bytes(coding: Coding, film_at: str | None = None) -> bytes:
    """A coding as an .eaf file; `film_at` is where its film lies from there, where that is not beside it."""
    from pympi.Elan import Eaf, to_string

    eaf = Eaf(author="mer")
    eaf.remove_tier("default")
    name = coding.film.name
    # Without the folders of this machine: ELAN looks for the film from the file on.
    kind = "video/mp4" if coding.film.suffix.lower() == ".mp4" else "video/*"
    eaf.add_linked_file(name, film_at or f"./{name}", kind)
    fps = coding.fps or 0.0
    eaf.add_property(_RATE, repr(fps))
    eaf.add_property(_FRAMES, str(coding.length))
    ends: dict[str, int] = {}

    def add(name: str, start_s: float, stop_s: float, text: str) -> None:
        start = to_ms(start_s)
        # Annotations of a tier may not overlap: one expression may lie in another.
        tiers = chain((name,), (f"{name}@{number}" for number in count(2)))
        tier = next(each for each in tiers if ends.get(each, 0) <= start)
        if tier not in ends:
            eaf.add_tier(tier, part=coding.subject or None)
        ends[tier] = max(start + 1, to_ms(stop_s))
        eaf.add_annotation(tier, start, ends[tier], text)

    for tier in (*NAMES.values(), EVENTS[0]):
        ends[tier] = 0
        eaf.add_tier(tier, part=coding.subject or None)
    for mark in coding.marks:
        onset_s, apex_s, offset_s = mark.at_s(fps)
        add(NAMES.get(mark.kind, mark.kind), onset_s, offset_s, "; ".join(filter(None, (mark.frames_text, mark.note))))
        if mark.apex_frame is not None:
            add(NAMES["apex"], apex_s, apex_s + 1 / fps, f"frame {mark.apex_frame}")
        for tier, text in ((NAMES["aus"], mark.aus), (NAMES["emotion"], mark.emotion)):
            if text:
                add(tier, onset_s, offset_s, text)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + str(to_string(eaf)).encode()
