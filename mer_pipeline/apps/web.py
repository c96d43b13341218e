"""A page in the browser: drop a clip, watch it being worked on, see what was found.

One clip is worked on at a time, by one thread. What is uploaded lies in a temporary folder until it is done, and is
then deleted, or moved to a folder that the user named. Results live in memory and end with the server. The page loads
nothing from elsewhere.
"""

from __future__ import annotations

import io
import itertools
import os
import queue
import re
import secrets
import socket
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

from mer_pipeline.cache import private_folder
from mer_pipeline.errors import MerError
from mer_pipeline.figures.expression_sheet import draw_sheet
from mer_pipeline.inference.predictor import ExpressionImages, Predictor
from mer_pipeline.spotting.video import Timeline, spot_video

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

# Of the page and of everything else: nothing from other places, and no other page may show it in a frame.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_REMEMBERED = 20  # results
_WAITING = 8  # clips
_POINTS = 600  # of a timeline that is sent
_MOST_SHEETS = 40  # of one clip


@dataclass
class Job:
    """One clip.

    Attributes:
        name: The file's own name.
        file: Where it lies while it is worked on.
        state: `waiting`, `working`, `done` or `failed`.
        progress: (steps done, of how many); None while that is unknown.
        result: As `mer predict --json` has it, once it is done.
        error: One line, where it failed.
        timeline: Seconds and motion, for drawing.
        sheets: PNG files, one an expression.
    """

    name: str
    file: Path
    state: str = "waiting"
    progress: tuple[int, int] | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    timeline: dict[str, list[float | None]] = field(default_factory=dict)
    sheets: list[bytes] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """What the page asks for."""
        shown = ("name", "state", "progress", "result", "error", "timeline")
        return {**{name: getattr(self, name) for name in shown}, "sheets": len(self.sheets)}


class JobQueue:
    """Takes clips in, works on them one after the other, and remembers the latest results.

    Args:
        make_predictor: Called by the thread that works, since what finds faces belongs to one thread.
        keep: Where uploads go when they are done; None deletes them.
    """

    def __init__(self, make_predictor: Callable[[], Predictor], keep: Path | None = None) -> None:
        self._make_predictor, self._keep = make_predictor, keep
        self._folder = tempfile.TemporaryDirectory(prefix="mer-serve-")
        self._waiting: queue.Queue[Job | None] = queue.Queue(_WAITING)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> JobQueue:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def place(self, name: str) -> Path:
        """Where an upload of this name may be written."""
        suffix = re.sub(r"[^.a-z0-9]", "", Path(name).suffix.lower())[:8]
        return Path(self._folder.name) / f"{secrets.token_hex(8)}{suffix}"

    def take(self, name: str, file: Path) -> str:
        """Put a clip in the queue; gives the key to ask for it with.

        Raises:
            MerError: Too many wait.
        """
        job, key = Job(_safe_name(name), file), secrets.token_urlsafe(16)
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            file.unlink(missing_ok=True)
            raise MerError(f"{_WAITING} clips are waiting already", fix="try again when one is done") from None
        self._jobs[key] = job
        while len(self._jobs) > _REMEMBERED + _WAITING:
            self._jobs.popitem(last=False)
        return key

    def job(self, key: str) -> Job | None:
        """What a key belongs to; None where that is nothing, or forgotten."""
        return self._jobs.get(key)

    def _work(self) -> None:
        with self._make_predictor() as predictor:
            while (job := self._waiting.get()) is not None:
                self._finish(predictor, job)

    def _finish(self, predictor: Predictor, job: Job) -> None:
        """Work on a clip; whatever happens to it, the next one has its turn."""
        job.state = "working"
        try:
            self._predict(predictor, job)
            self._put_away(job)
        except MerError as error:
            # The user knows the file by its own name.
            job.error = str(MerError(error.what, where=job.name, fix=error.fix))
        except Exception as error:
            job.error = f"{job.name}: failed unexpectedly ({type(error).__name__}); please report this"
        with suppress(OSError):
            job.file.unlink(missing_ok=True)
        job.state = "done" if job.error is None else "failed"

    def _predict(self, predictor: Predictor, job: Job) -> None:
        def progress(task: str, done: int, total: int, detail: str = "") -> None:
            del task, detail
            job.progress = done, total

        def on_expression(sight: ExpressionImages) -> None:
            if len(job.sheets) < _MOST_SHEETS:
                buffer = io.BytesIO()
                Pillow.fromarray(draw_sheet(replace(sight, clip=job.name))).save(buffer, "PNG")
                job.sheets.append(buffer.getvalue())

        found = predictor(job.file, progress=progress, on_expression=on_expression)
        job.timeline = _points(
            found.timeline or spot_video(job.file, progress=progress, find_faces=predictor.find_faces).timeline
        )
        job.result = replace(found, clip=job.name).as_json()

    def _put_away(self, job: Job) -> None:
        if self._keep is None:
            return
        private_folder(self._keep)
        name = Path(job.name)
        others = (f"{name.stem}-{number}{name.suffix}" for number in itertools.count(2))
        try:
            target = next(
                path
                for path in (self._keep / each for each in itertools.chain([job.name], others))
                if not path.exists()
            )
            target.write_bytes(job.file.read_bytes())
            target.chmod(0o600)
        except OSError as error:
            raise MerError(f"cannot be kept ({error.strerror})", fix="check the folder of --keep") from None


def _safe_name(name: str) -> str:
    r"""The last part of an upload's name as a file name that any disk takes: at most 220 bytes, nothing but text.

    >>> _safe_name("../a\0b.mp4"), _safe_name("..")
    ('ab.mp4', 'clip')
    """
    plain = "".join(letter for letter in name.replace("\\", "/").split("/")[-1] if letter.isprintable()).lstrip(".")
    stem, suffix = (_cut(part, most) for part, most in ((Path(plain).stem, 200), (Path(plain).suffix, 20)))
    return f"{stem}{suffix}" or "clip"


def _cut(text: str, most_bytes: int) -> str:
    return text.encode("utf-8", "ignore")[:most_bytes].decode("utf-8", "ignore")


def _points(timeline: Timeline) -> dict[str, list[float | None]]:
    """A timeline as JSON, thinned by its peaks; motion is None where there is no face."""
    parts = np.array_split(np.arange(len(timeline.seconds)), min(_POINTS, max(1, len(timeline.seconds))))
    seconds, motion = [], []
    for part in parts:
        known = timeline.energy[part][np.isfinite(timeline.energy[part])]
        seconds.append(round(float(timeline.seconds[part[0]]), 3) if len(part) else 0.0)
        motion.append(round(float(known.max()), 3) if len(known) else None)
    return {"seconds": list(seconds), "motion": motion}


class _Page:
    """What the routes answer."""

    def __init__(self, jobs: JobQueue, most_mib: int) -> None:
        page = (files("mer_pipeline.apps") / "page.html").read_text("utf-8")
        self._jobs, self._most_mib = jobs, most_mib
        self._html = page.replace("{{most_mib}}", str(most_mib))

    def show(self, request: Request) -> Response:
        from starlette.responses import HTMLResponse

        del request
        return HTMLResponse(self._html, headers=_HEADERS)

    async def upload(self, request: Request) -> Response:
        # A page from elsewhere cannot send this type without asking first, and is never allowed to.
        if request.headers.get("content-type") != "application/octet-stream":
            return _json({"error": "send the file itself, as application/octet-stream"}, 415)
        name = request.query_params.get("name", "clip")
        file = self._jobs.place(name)
        try:
            size, most = 0, self._most_mib << 20
            with file.open("wb") as target:
                async for part in request.stream():
                    size += len(part)
                    if size <= most:
                        target.write(part)
                    elif size > 2 * most:
                        break
                    # A browser that is cut off while it sends never sees the answer: a little more is read, not kept.
            if size > most:
                larger = f"larger than {self._most_mib} MiB"
                raise MerError(larger, where=name, fix="start mer serve with a higher --limit")
            return _json({"key": self._jobs.take(name, file)}, 202)
        except (MerError, OSError) as error:
            file.unlink(missing_ok=True)
            return _json({"error": str(error)}, 413 if isinstance(error, MerError) else 507)

    def state(self, request: Request) -> Response:
        job = self._jobs.job(request.path_params["key"])
        return _json({"error": "no such clip, or it is forgotten"}, 404) if job is None else _json(job.as_json(), 200)

    def sheet(self, request: Request) -> Response:
        from starlette.responses import Response

        job, number = self._jobs.job(request.path_params["key"]), request.path_params["number"]
        if job is None or not 0 <= number < len(job.sheets):
            return _json({"error": "no such picture"}, 404)
        return Response(job.sheets[number], headers=_HEADERS, media_type="image/png")


def _json(values: Mapping[str, Any], status: int) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(values, status, _HEADERS)


def make_app(jobs: JobQueue, *, host: str, most_mib: int) -> Starlette:
    """The web application.

    Args:
        jobs: Does the work.
        host: What the server listens on.
        most_mib: Larger uploads are refused.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Route

    page = _Page(jobs, most_mib)
    routes = [
        Route("/", page.show),
        Route("/clips", page.upload, methods=["POST"]),
        Route("/clips/{key}", page.state),
        Route("/clips/{key}/sheets/{number:int}.png", page.sheet),
    ]
    # Other names may be pointed at this machine by pages from elsewhere.
    allowed = [*_LOOPBACK, host] if host in _LOOPBACK else ["*"]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=allowed)])


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
    try:
        import uvicorn
    except ImportError:
        raise MerError("the page needs starlette and uvicorn", fix='run: pip install "mer-pipeline[web]"') from None
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise MerError(
            f"cannot listen ({os.strerror(error.errno or 0)})", where=f"{host}:{port}", fix="choose another --port"
        ) from None
    with listening, JobQueue(make_predictor, keep) as jobs:
        name = f"[{host}]" if ":" in host else host
        on_ready(f"http://{name}:{listening.getsockname()[1]}/")
        app = make_app(jobs, host=host, most_mib=most_mib)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listening])
