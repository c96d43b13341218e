"""What the pages of `mer` have in common: an address of this machine, and answers that load nothing from elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING

from mer_pipeline.errors import MerError
from mer_pipeline.reading import Json

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import BaseRoute

# Of a page and of everything else: nothing from other places, and no other page may show it in a frame.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; img-src 'self' data:; media-src blob:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CONNECTIONS = 200
_LAST_S = 3  # for open requests when the server ends


def page_file(name: str) -> str:
    """A file of a page; `{{style}}` in it is what all pages look like."""
    folder = files("mer_pipeline.apps")
    text = (folder / name).read_text("utf-8")
    return text.replace("{{style}}", (folder / "style.css").read_text("utf-8")) if "{{style}}" in text else text


def as_answer(values: Mapping[str, Json], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON."""
    from starlette.responses import JSONResponse

    return JSONResponse(values, status, {**HEADERS, **(headers or {})})


def make_application(routes: Sequence[BaseRoute], host: str) -> Starlette:
    """The web application of some routes."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    # Other names may be pointed at this machine by pages from elsewhere. Of [::1]:8000 older middleware sees what
    # stands before the first colon; an address in brackets is no name, so no such page has one.
    allowed = [*LOOPBACK, "[", "[::1]"] if host in LOOPBACK else ["*"]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=allowed)])


@contextmanager
def listening(host: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """Listen, until a signal of the system ends it by SystemExit, so that what is temporary is removed on the way out.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.

    Yields:
        What listens, and its address for a browser.

    Raises:
        MerError: The extra is absent, or the address cannot be listened on.
    """
    try:
        import uvicorn  # noqa: F401
    except ImportError:
        raise MerError("the page needs starlette and uvicorn", fix='run: pip install "mer-pipeline[web]"') from None
    try:
        open_one = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise MerError(
            f"cannot listen ({os.strerror(error.errno or 0)})", where=f"{host}:{port}", fix="choose another --port"
        ) from None
    name = f"[{host}]" if ":" in host else host
    with open_one, _ended_by_signals():
        yield open_one, f"http://{name}:{open_one.getsockname()[1]}/"


def answer_requests(app: Starlette, listens: socket.socket) -> None:
    """Answer until interrupted."""
    import uvicorn

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=_LAST_S, limit_concurrency=_CONNECTIONS
    )
    uvicorn.Server(config).run(sockets=[listens])


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, end) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
