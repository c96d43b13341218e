"""What the page of `mer annotate` asks for, and gives.

Everything lies below a secret in the address, as other people may have accounts on this machine; the secret stays the
same for a folder, so that a page that is open goes on where the server is started again.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from mer_pipeline.apps.annotate.book import Book, Conflict
from mer_pipeline.apps.annotate.candidates import Candidates, Spotter
from mer_pipeline.apps.annotate.films import Films
from mer_pipeline.apps.annotate.pictures import FilmFrames
from mer_pipeline.apps.annotate.work import CodedFilm
from mer_pipeline.apps.server import HEADERS, answer_requests, as_answer, listening, make_application, page_file
from mer_pipeline.cache import write_atomically
from mer_pipeline.errors import MerError, WriteError
from mer_pipeline.faces.detectors import Detector
from mer_pipeline.facs import AU_NAMES, parse_aus
from mer_pipeline.labels import known_emotions
from mer_pipeline.reading import JsonObject, parse_json, read_text, well_formed
from mer_pipeline.spotting.agreement import Agreement, Marked, agreement

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_FILES = {"": "text/html", "page.css": "text/css", "page.js": "text/javascript", "marks.js": "text/javascript"}
_MOST_BYTES = 8 << 20  # of a change that is sent
_SECRET_BYTES = 16
_Asked = ParamSpec("_Asked")


def _one_line(answer: Callable[_Asked, Response]) -> Callable[_Asked, Response]:
    """What is wrong as one line of JSON."""

    @functools.wraps(answer)
    def wrapped(*given: _Asked.args, **named: _Asked.kwargs) -> Response:
        try:
            return answer(*given, **named)
        except MerError as error:
            kinds = {Conflict: 409, WriteError: 507}
            return as_answer({"error": str(error)}, kinds.get(type(error), 422))

    return wrapped


class _Page:
    """What the routes answer; those that are no coroutines are run in threads."""

    def __init__(self, films: Films, book: Book, spotter: Spotter, pictures: FilmFrames, coder: str) -> None:
        self._films, self._book, self._spotter, self._pictures = films, book, spotter, pictures
        self._coder = coder

    def file(self, request: Request) -> Response:
        from starlette.responses import Response

        name = request.path_params.get("name", "")
        if name not in _FILES:
            return as_answer({"error": "no such file"}, 404)
        return Response(page_file(f"annotate/{name or 'page.html'}"), headers=HEADERS, media_type=_FILES[name])

    @_one_line
    def facts(self, request: Request) -> Response:
        del request
        names = {str(number): name for number, name in sorted(AU_NAMES.items())}
        return as_answer(
            {"folder": self._films.folder.resolve().name, "coder": self._coder, "aus": names,
             "emotions": list(known_emotions())}
        )  # fmt: skip

    @_one_line
    def films(self, request: Request) -> Response:
        """The films, what was spotted in them so far, and what a coder made of them."""
        coder = request.query_params.get("coder", "")
        entries: list[JsonObject] = []
        for name in self._films.names:
            found = self._spotter.of(name)
            work = self._book.work(coder, name).with_candidates(found.intervals) if coder else CodedFilm()
            entries.append({"name": name, "candidates": _state(found), **work.counts()})
        return as_answer({"films": entries, "coders": self._book.coders(), "owner": self._book.owner()})

    @_one_line
    def film(self, request: Request) -> Response:
        """All of one film."""
        name, coder = self._named(request), request.query_params.get("coder", "")
        self._spotter.prefer(name)
        film, found = self._films.film(name), self._spotter.of(name)
        work = self._book.work(coder, name).with_candidates(found.intervals)
        energy = [None if np.isnan(value) else round(float(value), 3) for value in found.timeline.energy]
        return as_answer(
            {
                "name": name, "frames": film.frames, "fps": film.fps, "person": film.person,
                "work": work.as_json(), "wrong": work.wrong_aus(), "candidates": _state(found), "energy": energy,
                "events": [[each.kind, each.first_frame, each.last_frame] for each in found.events],
                "warnings": list(found.warnings),
            }
        )  # fmt: skip

    async def save(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        # A page from elsewhere cannot send this without asking first, and is never allowed to.
        if request.headers.get("content-type") != "application/json":
            return as_answer({"error": "send application/json"}, 415)
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > _MOST_BYTES:
                return as_answer({"error": f"more than {_MOST_BYTES >> 20} MiB"}, 413)
        return await run_in_threadpool(self._save, request, content)

    @_one_line
    def _save(self, request: Request, content: bytes) -> Response:
        film, coder = self._films.film(self._named(request)), request.query_params.get("coder", "")
        with well_formed(film.name, fix="load the page again"):
            work = CodedFilm.from_json(parse_json(content))
        kept = self._book.save(coder, film, work)
        return as_answer({"revision": kept.revision, "owner": self._book.owner(), "wrong": kept.wrong_aus()})

    @_one_line
    def picture(self, request: Request) -> Response:
        from starlette.responses import Response

        film = self._films.film(self._named(request))
        content = self._pictures.jpeg(film, request.path_params["frame"])
        return Response(content, headers=HEADERS, media_type="image/jpeg")

    @_one_line
    def aus(self, request: Request) -> Response:
        """Action Units as they were typed, in the usual notation and in words."""
        try:
            found = parse_aus(request.query_params.get("text", "")[:1000])
        except MerError as error:  # they are asked for while they are typed
            return as_answer({"error": error.what})
        words = [f"{unit}: {AU_NAMES.get(unit.number or 0, unit.name or 'no known name')}" for unit in found.units]
        return as_answer({"words": words})

    @_one_line
    def agreement(self, request: Request) -> Response:
        """How well two coders agree, over all films that both worked on, and by film."""
        first, second = (request.query_params.get(name, "") for name in ("first", "second"))
        films, both, pending = {}, [], 0
        for film, ours, theirs in self._book.both(first, second):
            one, other = ([each.mark(film) for each in work.accepted()] for work in (ours, theirs))
            marked = Marked(one, other, film.frames, film.fps)
            both.append(marked)
            films[film.name] = _agreed(agreement([marked]))
            pending += ours.counts()["open"] + theirs.counts()["open"]
        if not both:
            raise MerError("no film that both worked on", where=f"{first}, {second}", fix="mark one first")
        return as_answer({"all": _agreed(agreement(both)), "films": films, "open": pending})

    @_one_line
    def dataset(self, request: Request) -> Response:
        """Make a coder's table that of the folder."""
        self._book.make_dataset(request.query_params.get("coder", ""))
        return as_answer({"owner": self._book.owner()})

    def _named(self, request: Request) -> str:
        number = request.path_params["number"]
        if number >= len(self._films.names):
            raise MerError("no such film", fix="load the page again")
        return str(self._films.names[number])


def make_app(
    films: Films, book: Book, spotter: Spotter, pictures: FilmFrames, secret: str, coder: str = ""
) -> Starlette:
    """The web application.

    Args:
        films: The films.
        book: Keeps what is marked.
        spotter: Finds candidates.
        pictures: Makes pictures of frames.
        secret: The first part of every path.
        coder: Who marks, where the page does not say.
    """
    from starlette.routing import Mount, Route

    page = _Page(films, book, spotter, pictures, coder)
    routes = [
        Route("/", page.file),
        Route("/facts", page.facts),
        Route("/films", page.films),
        Route("/films/{number:int}", page.film),
        Route("/films/{number:int}", page.save, methods=["PUT"]),
        Route("/films/{number:int}/frames/{frame:int}.jpg", page.picture),
        Route("/aus", page.aus),
        Route("/agreement", page.agreement),
        Route("/dataset", page.dataset, methods=["PUT"]),
        Route("/{name}", page.file),
    ]
    return make_application([Mount(f"/{secret}", routes=routes)], "127.0.0.1")


def annotate(
    folder: Path,
    *,
    coder: str = "",
    port: int = 8001,
    fps: float | None = None,
    detector: Detector | None = None,
    on_ready: Callable[[str], None] = lambda address: None,  # noqa: ARG005
) -> None:
    """Serve the page until interrupted, to this machine alone.

    Args:
        folder: The films; what is marked is kept there.
        coder: Who marks; blank where the page is to ask.
        port: Port to listen on; 0 takes a free one.
        fps: The rate of folders of frames.
        detector: Finds the faces in which candidates are spotted; None to spot none.
        on_ready: Called with the address.

    Raises:
        MerError: No film, a table of another kind, nothing may be written, or the port is taken.
    """
    with listening("127.0.0.1", port) as (listens, address):
        films = Films(folder, fps)
        book = Book(films)
        if coder:
            book.work(coder, films.names[0])  # refuses what is no name
        spotter, pictures = Spotter(films, detector), FilmFrames()
        spotter.start()
        secret = _secret(book.root / ".secret")
        on_ready(f"{address}{secret}/")
        try:
            answer_requests(make_app(films, book, spotter, pictures, secret, coder), listens)
        finally:
            pictures.close()


def _secret(path: Path) -> str:
    """The secret of a folder; written in any case, so that a folder that may not be written is refused at once."""
    kept = read_text(path).strip() if path.exists() else ""
    secret = kept if kept.isalnum() and len(kept) >= _SECRET_BYTES else secrets.token_hex(_SECRET_BYTES)
    write_atomically(path, secret.encode())
    return secret


def _state(found: Candidates) -> dict[str, Any]:
    return {"state": found.state, "progress": found.progress, "error": found.error, "found": len(found.intervals)}


def _agreed(found: Agreement) -> dict[str, Any]:
    scores = {kind: score.as_json() for kind, score in found.scores.items()}
    return {"scores": scores, **found.as_json()}
