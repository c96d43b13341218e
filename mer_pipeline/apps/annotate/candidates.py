"""What is spotted in the films while people work: one film at a time, the one that is shown first, kept on disk."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from mer_pipeline.apps.annotate.films import ANNOTATIONS, Film, Films
from mer_pipeline.cache import Artefact, Store, key_of
from mer_pipeline.errors import MerError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.faces.landmarks import FaceFinder
from mer_pipeline.reading import built, well_formed
from mer_pipeline.spotting.result import Event, Interval, Spotting, Timeline
from mer_pipeline.spotting.video import spot_video
from mer_pipeline.stages.parameters import VERSIONS

_STAGE = "spotted"


@dataclass
class Candidates:
    """Of one film.

    Attributes:
        state: `waiting`, `working`, `done`, `failed`, or `off` where nothing is spotted.
        progress: (frames done, of how many).
        error: One line, where it failed.
        intervals, events, warnings, timeline: As in `Spotting`.
    """

    state: str = "waiting"
    progress: tuple[int, int] | None = None
    error: str | None = None
    intervals: tuple[Interval, ...] = ()
    events: tuple[Event, ...] = ()
    warnings: tuple[str, ...] = ()
    timeline: Timeline = field(default_factory=Timeline)


class Spotter:
    """Spots in a thread of its own, since what finds faces belongs to one thread.

    Args:
        films: The films.
        detector: Finds faces; None to spot nothing.
    """

    def __init__(self, films: Films, detector: Detector | None) -> None:
        self._films, self._detector = films, detector
        state = "off" if detector is None else "waiting"
        self._found = {name: Candidates(state) for name in films.names}
        self._order = list(films.names) if detector else []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin with the first film."""
        if self._detector is not None:
            store = Store(self._films.folder / ANNOTATIONS / ".spotted")
            threading.Thread(target=self._work, args=(store, self._detector), daemon=True).start()

    def of(self, name: str) -> Candidates:
        """What is known of a film so far."""
        return self._found[name]

    def prefer(self, name: str) -> None:
        """Let a film be the next."""
        with self._lock:
            if name in self._order:
                self._order.remove(name)
                self._order.insert(0, name)

    def _work(self, store: Store, detector: Detector) -> None:
        with ExitStack() as stack:
            find_faces: FaceFinder | None = None
            while self._order:
                with self._lock:
                    name = self._order.pop(0)
                found = self._found[name]
                found.state = "working"
                try:
                    film = self._films.film(name)
                    key = _key(film, detector)
                    kept = _read(store, key)
                    if kept is None:
                        find_faces = find_faces or stack.enter_context(detector.open())
                        kept = _spot(film, find_faces, found)
                        _write(store, key, kept)
                    found.intervals, found.events = tuple(kept.intervals), tuple(kept.events)
                    found.warnings, found.timeline, found.state = tuple(kept.warnings), kept.timeline, "done"
                except MerError as error:
                    found.error, found.state = str(MerError(error.what, where=name, fix=error.fix)), "failed"
                except Exception as error:  # the films after it have their turn
                    found.error = f"{name}: failed unexpectedly ({type(error).__name__}); please report this"
                    found.state = "failed"


def _spot(film: Film, find_faces: FaceFinder, found: Candidates) -> Spotting:
    def progress(task: str, done: int, total: int, detail: str = "") -> None:
        del task, detail
        found.progress = done, total

    return spot_video(film.footage.path, fps=film.fps, progress=progress, find_faces=find_faces)


def _key(film: Film, detector: Detector) -> str:
    inputs = [film.footage.fingerprint(), film.footage.content(()), film.fps]
    return key_of(_STAGE, VERSIONS["keyframes"], inputs, {"detector": detector.identity})


def _write(store: Store, key: str, found: Spotting) -> None:
    facts: dict[str, Any] = {name: [asdict(each) for each in getattr(found, name)] for name in ("intervals", "events")}
    arrays = {"seconds": found.timeline.seconds, "energy": found.timeline.energy}
    store.put(_STAGE, key, Artefact(arrays, {**facts, "warnings": found.warnings}))


def _read(store: Store, key: str) -> Spotting | None:
    kept = store.get(_STAGE, key)
    if kept is None:
        return None
    with well_formed(store.path(_STAGE, key), fix="remove it"):
        facts = cast("Mapping[str, Any]", kept.facts)
        intervals = [built(Interval, each) for each in facts["intervals"]]
        events = [built(Event, each) for each in facts["events"]]
        timeline = Timeline(kept.arrays["seconds"], kept.arrays["energy"])
        return Spotting("", 0.0, 0, intervals=intervals, events=events, warnings=list(facts["warnings"]),
                        timeline=timeline)  # fmt: skip
