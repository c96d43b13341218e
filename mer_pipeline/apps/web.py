"""A page in the browser: drop a clip, watch it being worked on, see what was found.

The page loads nothing from elsewhere; `jobs` works on what it sends.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mer_pipeline.apps.jobs import JobQueue, busy, safe_name
from mer_pipeline.apps.server import HEADERS, answer_requests, as_answer, listening, make_application, page_file
from mer_pipeline.errors import MerError
from mer_pipeline.inference.predictor import Predictor

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_OPEN = 8  # uploads at once: with the limit of each, this bounds the disk that they take
_IDLE_S = 30  # without a byte


class _Page:
    """What the routes answer."""

    def __init__(self, jobs: JobQueue, most_mib: int) -> None:
        self._jobs, self._most, self._open = jobs, most_mib << 20, 0
        self._html = page_file("page.html").replace("{{most_mib}}", str(most_mib))

    def show(self, request: Request) -> Response:
        from starlette.responses import HTMLResponse

        del request
        return HTMLResponse(self._html, headers=HEADERS)

    async def upload(self, request: Request) -> Response:
        # A page from elsewhere cannot send this type without asking first, and is never allowed to.
        if request.headers.get("content-type") != "application/octet-stream":
            return as_answer({"error": "send the file itself, as application/octet-stream"}, 415)
        name = request.query_params.get("name", "clip")
        if self._announced(request) > 2 * self._most:
            return as_answer({"error": str(self._too_large(name))}, 413)
        if self._jobs.full or self._open >= _OPEN:
            with suppress(TimeoutError, asyncio.TimeoutError, _disconnect()):
                await self._receive(request, io.BytesIO(), keep=0)
            return as_answer({"error": str(busy())}, 503, {"Retry-After": "10"})
        self._open += 1
        try:
            return await self._take(request, name)
        finally:
            self._open -= 1

    async def _take(self, request: Request, name: str) -> Response:
        """Receive a file; whatever ends that early, nothing of it is left."""
        file, taken = None, False
        try:
            file = self._jobs.place(name)
            with file.open("wb") as target:
                whole = await self._receive(request, target, keep=self._most)
            if not whole:
                return as_answer({"error": str(self._too_large(name))}, 413)
            key = self._jobs.take(name, file)
            taken = True
            return as_answer({"key": key}, 202)
        except MerError as error:
            return as_answer({"error": str(error)}, 503, {"Retry-After": "10"})
        except (TimeoutError, asyncio.TimeoutError, _disconnect()):
            return as_answer({"error": f"nothing was sent for {_IDLE_S} s"}, 408)
        except OSError as error:
            return as_answer({"error": f"cannot be written ({error.strerror})"}, 507)
        finally:
            if file is not None and not taken:
                file.unlink(missing_ok=True)

    async def _receive(self, request: Request, target: BinaryIO, keep: int) -> bool:
        """Write what is sent up to so many bytes; whether it was not too large."""
        size, parts = 0, request.stream().__aiter__()
        while (part := await asyncio.wait_for(anext(parts, None), _IDLE_S)) is not None:
            size += len(part)
            if size <= keep:
                target.write(part)
            elif size > 2 * self._most:
                break
            # A browser that is cut off while it sends never sees the answer: a little more is read, not kept.
        return size <= self._most

    def _announced(self, request: Request) -> int:
        length = request.headers.get("content-length", "")
        return int(length) if length.isdecimal() and len(length) < 20 else 0

    def _too_large(self, name: str) -> MerError:
        larger = f"larger than {self._most >> 20} MiB"
        return MerError(larger, where=safe_name(name), fix="start mer serve with a higher --limit")

    def state(self, request: Request) -> Response:
        job = self._jobs.job(request.path_params["key"])
        return (
            as_answer({"error": "no such clip, or it is forgotten"}, 404)
            if job is None
            else as_answer(job.as_json(), 200)
        )

    def sheet(self, request: Request) -> Response:
        from starlette.responses import Response

        job, number = self._jobs.job(request.path_params["key"]), request.path_params["number"]
        if job is None or not 0 <= number < len(job.sheets):
            return as_answer({"error": "no such picture"}, 404)
        return Response(job.sheets[number], headers=HEADERS, media_type="image/png")


def _disconnect() -> type[Exception]:
    """What a client that goes away raises."""
    from starlette.requests import ClientDisconnect

    return ClientDisconnect


def make_app(jobs: JobQueue, *, host: str, most_mib: int) -> Starlette:
    """The web application."""
    from starlette.routing import Route

    page = _Page(jobs, most_mib)
    routes = [
        Route("/", page.show),
        Route("/clips", page.upload, methods=["POST"]),
        Route("/clips/{key}", page.state),
        Route("/clips/{key}/sheets/{number:int}.png", page.sheet),
    ]
    return make_application(routes, host)


def serve(
    make_predictor: Callable[[], Predictor],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    most_mib: int = 500,
    keep: Path | None = None,
    on_ready: Callable[[str], None] = lambda address: None,  # noqa: ARG005
) -> None:
    """Serve the page until interrupted.

    Args:
        make_predictor: Loads the network and what finds faces.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        most_mib: Larger uploads are refused.
        keep: A folder for what is uploaded; None deletes it when it is done.
        on_ready: Called with the address.

    Raises:
        MerError: The extra is absent, or the address cannot be listened on.
    """
    with listening(host, port) as (listens, address), JobQueue(make_predictor, keep) as jobs:
        on_ready(address)
        answer_requests(make_app(jobs, host=host, most_mib=most_mib), listens)
