"""The live preview: a page on 127.0.0.1 that shows the paper's pages and what is wrong with it, as soon as it is known.

Only this machine can ask, only under the address that was printed (a foreign page cannot: the Host header and
Sec-Fetch-Site are checked), and only for the few things named in `_ROUTES`: no path of a request reaches the disk.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from papergen.core.errors import MachineError
from papergen.core.scratch import scratch_folder
from papergen.paper.watch.session import Session, State

DEFAULT_PORT = 8765
DPI = 110
HEARTBEAT_S = 15.0
HERE = Path(__file__).parent
_ROUTES = {
    "/": ("preview.html", "text/html; charset=utf-8"),
    "/preview.js": ("preview.js", "text/javascript; charset=utf-8"),
    "/preview.css": ("preview.css", "text/css; charset=utf-8"),
}
_PAGE = re.compile(r"/page/([1-9][0-9]{0,3})\.png")
_SAFE = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Preview:
    """The server of one session; a context manager. MachineError when the port that was asked for is taken."""

    def __init__(self, session: Session, name: str, port: int | None = None) -> None:
        self.session = session
        self.name = name
        self.news = threading.Condition()
        self.is_closed = False
        self._images: dict[tuple[str, int], bytes] = {}
        self._drawing = threading.Lock()
        self._http = self._bind(port)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """What to type into the browser."""
        return f"http://127.0.0.1:{self.port}/"

    def _bind(self, port: int | None) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"preview": self})
        tried = [DEFAULT_PORT, 0] if port is None else [port]
        for number in tried:
            with contextlib.suppress(OSError):
                return _Server(("127.0.0.1", number), handler)
        raise MachineError(f"Port {port} is taken.", hint="Leave --port out, or name another.")

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_closed = True
        with self.news:
            self.news.notify_all()
        self._http.shutdown()
        self._http.server_close()

    def tell(self, _: State) -> None:
        """Wake the threads that send every open page the new state."""
        with self.news:
            self.news.notify_all()

    def image(self, page: int) -> bytes | None:
        """A page of the last whole PDF as PNG; None when there is no such page."""
        with self._drawing:  # one at a time: a browser asks for all at once, and the next build needs the processor
            pdf, digest = self.session.pdf, self.session.state.pdf
            if not pdf or not 1 <= page <= self.session.state.pages:
                return None
            if (digest, page) not in self._images:
                self._images = {key: image for key, image in self._images.items() if key[0] == digest}
                self._images[digest, page] = _drawn(pdf, page)
            return self._images[digest, page]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    preview: Preview
    protocol_version = "HTTP/1.1"
    server_version = "papergen"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one request."""
        if not self._is_ours():
            return self._send(403, b"This preview answers only to its own address.\n", "text/plain")
        path = self.path.split("?", 1)[0]
        if path in _ROUTES:
            name, kind = _ROUTES[path]
            return self._send(200, (HERE / name).read_bytes().replace(b"{{name}}", _html(self.preview.name)), kind)
        answers: Mapping[str, Callable[[], None]] = {"/events": self._events, "/paper.pdf": self._pdf}
        if path in answers:
            return answers[path]()
        if match := _PAGE.fullmatch(path):
            image = self.preview.image(int(match[1]))
            return self._send(200, image, "image/png") if image else self._send(404, b"No such page.\n", "text/plain")
        return self._send(404, b"There is nothing here.\n", "text/plain")

    def _is_ours(self) -> bool:
        port = self.preview.port
        if self.headers.get("Host", "") not in {f"127.0.0.1:{port}", f"localhost:{port}"}:
            return False  # another name that was made to point here (DNS rebinding)
        foreign = self.headers.get("Sec-Fetch-Site", "none") in {"cross-site", "same-site"}
        return not foreign or self.headers.get("Sec-Fetch-Mode") == "navigate"

    def _pdf(self) -> None:
        pdf = self.preview.session.pdf
        if pdf:
            self._send(200, pdf, "application/pdf")
        else:
            self._send(404, b"No PDF has been built yet.\n", "text/plain")

    def _events(self) -> None:
        """Server-sent events: the state now, then every new one, until the browser goes or the server ends."""
        self.send_response(200)
        for name, value in {**_SAFE, "Content-Type": "text/event-stream", "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        seen = -1
        while not self.preview.is_closed:
            state = self.preview.session.state
            if state.version != seen:
                seen = state.version
                self.wfile.write(f"data: {json.dumps(state.to_json(), ensure_ascii=False)}\n\n".encode())
            else:
                self.wfile.write(b": still here\n\n")
            self.wfile.flush()
            with self.preview.news:
                self.preview.news.wait_for(
                    lambda: self.preview.is_closed or self.preview.session.state.version != seen,  # noqa: B023
                    timeout=HEARTBEAT_S,
                )

    def _send(self, code: int, content: bytes, kind: str) -> None:
        self.send_response(code)
        for name, value in {**_SAFE, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name that http.server gives)
        """Requests are not printed."""


def _html(text: str) -> bytes:
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(sign, entity)
    return text.encode()


def _drawn(pdf: bytes, page: int) -> bytes:
    program = shutil.which("pdftoppm")
    if program is None:
        raise MachineError("No pdftoppm on this machine.", hint="Install it: sudo apt-get install poppler-utils")
    with scratch_folder("preview") as scratch:
        file = scratch / "paper.pdf"
        file.write_bytes(pdf)
        command = [program, "-r", str(DPI), "-f", str(page), "-l", str(page), "-singlefile", str(file)]
        drawn = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=True).stdout
    from PIL import Image

    # pdftoppm packs a PNG for 220 ms (110 dpi, docs/LOG.md), and somebody waits for it.
    packed = io.BytesIO()
    Image.open(io.BytesIO(drawn)).save(packed, "PNG", compress_level=1)
    return packed.getvalue()
