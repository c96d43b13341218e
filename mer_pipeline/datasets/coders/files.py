"""Files of coders by their ending, each with its film where that lies beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mer_pipeline.cache.atomic import write_atomically
from mer_pipeline.choices import FILM_SUFFIXES
from mer_pipeline.datasets.coders import boris, eaf
from mer_pipeline.datasets.coders.coding import NAMES, Clock, Coding, Mark, to_marks, to_ms
from mer_pipeline.errors import MerError

if TYPE_CHECKING:
    from mer_pipeline.video import Footage

CODED = (".eaf", ".csv", ".tsv")  # that are read; subtitles are written only


def read_codings(path: Path, film: Path | None = None) -> list[Coding]:
    """What was marked in the films of a file; a film's header is read for its rate where it is there.

    Args:
        path: An .eaf file, or BORIS's table of aggregated events (.csv, .tsv).
        film: The film, where it is not the one that the file names.

    Raises:
        MerError: It cannot be read, or the rate of a film is not known.
    """
    if path.suffix.lower() == ".eaf":
        try:
            found = [eaf.read(path)]
        except FileNotFoundError:
            raise MerError("no such file", where=path, fix="check the path") from None
    elif path.suffix.lower() in FILM_SUFFIXES and path.is_file():
        fix = "give a coder's file (.eaf, BORIS's table) or a set, and the film as VIDEO"
        raise MerError("a film, where a table of what was marked is expected", where=path, fix=fix)
    else:
        found = boris.read(path)
    if film is not None and len(found) > 1:
        found = [each for each in found if each[0].film.stem == film.stem]
    codings = []
    for coding, moments in found:
        own = film_of(coding.film, path)
        if film is not None and own is not None and own.stem != film.stem:
            raise MerError(f"marks {own.name}, not {film.name}", where=path, fix="give the film that it marks")
        wrong = []
        # A file without a film goes by its own name.
        if film is not None and coding.film.stem != film.stem and coding.film != path.with_suffix(""):
            wrong = [f"{path.name} is of {coding.film.name}, and is taken for {film.name}: right if it was renamed"]
        own = film or own
        footage = None if own is None else _opened(own)
        fps = coding.fps if footage is None else footage.fps or coding.fps
        clock = Clock(fps, None if footage is None else footage.times_s)
        marks, unclear = to_marks(moments, clock, path)
        frames = coding.frames if footage is None else len(footage)
        codings.append(
            replace(coding, film=own or coding.film, fps=fps, marks=marks, frames=frames,
                    warnings=(*coding.warnings, *wrong, *unclear))
        )  # fmt: skip
    return codings


def _opened(film: Path) -> Footage | None:
    # Here, because it loads the decoders, and most readers do without.
    from mer_pipeline.video import open_footage

    try:
        return open_footage(film)
    except MerError:
        return None  # a film that cannot be opened is reported where its frames are needed


def film_of(named: Path, coded: Path) -> Path | None:
    """The film that a file of a coder names, or one of the same name as this file; None where neither is there."""
    stems = dict.fromkeys(
        (named.with_suffix("") if named.suffix.lower() in FILM_SUFFIXES else named, coded.with_suffix(""))
    )
    candidates = [named, *(stem.with_name(stem.name + end) for stem in stems for end in FILM_SUFFIXES), *stems]
    return next((each for each in candidates if each.exists() and each != coded), None)


def write_codings(path: Path, codings: Sequence[Coding], film_at: str | None = None) -> None:
    """Write films' marks as .eaf or .vtt (one film), or as BORIS's table.

    Args:
        path: The file.
        codings: What is marked.
        film_at: For .eaf, where its film lies from there, where that is not beside it.

    Raises:
        MerError: The ending is none of these, or the file cannot hold several films.
        WriteError: It cannot be written.
    """
    ending = path.suffix.lower()
    if ending in (".eaf", ".vtt"):
        if len(codings) != 1:
            raise MerError(f"one {ending} file holds one film, not {len(codings)}", where=path, fix="give one video")
        write_atomically(path, eaf.to_bytes(codings[0], film_at) if ending == ".eaf" else _vtt(codings[0]))
    elif ending == ".csv":
        write_atomically(path, boris.to_bytes(codings))
    else:
        raise MerError("of unknown kind", where=path, fix="end its name in .eaf, .csv (BORIS) or .vtt")


def _vtt(coding: Coding) -> bytes:
    """Subtitles: one cue a mark."""
    fps = coding.fps or 0.0
    cues = ["WEBVTT\n"]
    for mark in coding.marks:
        onset_s, _, offset_s = mark.at_s(fps)
        start, stop = to_ms(onset_s), to_ms(offset_s + 1 / fps)
        cues.append(f"{_stamp(start)} --> {_stamp(stop)}\n{_words(mark)}\n")
    return "\n".join(cues).encode()


def _words(mark: Mark) -> str:
    words = (NAMES.get(mark.kind, mark.kind), f"AU {mark.aus}" if mark.aus else "", mark.emotion, mark.note)
    # A cue ends at a blank line, and an arrow in it would begin another.
    return ", ".join(filter(None, words)).replace("-->", "").replace("<", "").replace("&", "and")


def _stamp(ms: int) -> str:
    """Hours, minutes and seconds.

    >>> _stamp(3_723_004)
    '01:02:03.004'
    """
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"
