"""A registry on this machine that answers as doi.org, arXiv and the ACL Anthology do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CROSSREF = (
    " @article{Doe_2021, title={A Study of <i>Things</i> &amp; 50% of others_x}, volume={3}, ISSN={1234-5678}, "
    "url={http://dx.doi.org/10.1234/things_5}, DOI={10.1234/things_5}, journal={Journal of A &amp; B}, "
    "author={Doe, Jané and Roe, R.}, year={2021}, month=mar }"
)
ACL = """@inproceedings{doe-roe-2020-good,
    title = "A Good Parser",
    author = "Doe, Jane  and Roe, Richard",
    booktitle = "Proceedings of ACL",
    year = "2020",
    url = "https://aclanthology.org/2020.acl-main.77",
    doi = "10.18653/v1/2020.acl-main.77",
    abstract = "Long text with 50{\\%} of it.",
}
"""
ARXIV = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><entry>
<id>http://arxiv.org/abs/2101.00001v2</id><published>2021-01-01T00:00:00Z</published>
<title>Learning
  with C# &amp; 5% noise</title>
<author><name>Ünal Öz</name></author><author><name>Bo Li</name></author>
<arxiv:primary_category xmlns:arxiv="http://arxiv.org/schemas/atom" term="cs.CL"/>
</entry></feed>
"""
NOTHING = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>Error</title></entry></feed>"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        seen: list[tuple[str, str]] = self.server.seen  # type: ignore[attr-defined]
        seen.append((self.path, self.headers["Accept"]))
        answers = {
            "/doi/10.1234/things_5": CROSSREF,
            "/acl/2020.acl-main.77.bib": ACL,
            "/arxiv?id_list=2101.00001": ARXIV,
            "/arxiv?id_list=2101.99999": NOTHING,
            "/doi/10.1234/page": "<html>no BibTeX</html>",
            "/doi/10.1234/bomb": "x" * (2**20 + 10),
        }
        if self.path == "/doi/10.1234/moved":
            self.send_response(302)
            self.send_header("Location", "/doi/10.1234/things_5")
            self.end_headers()
            return
        if self.path == "/doi/10.1234/slow":
            self.server.stop.wait(30)  # type: ignore[attr-defined]
            return
        if self.path == "/doi/10.1234/broken":
            self.send_error(500)
            return
        text = answers.get(self.path)
        if text is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The address of the registry, and the list of (path, Accept) that it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.seen = []  # type: ignore[attr-defined]
    server.stop = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.seen  # type: ignore[attr-defined]
    finally:
        server.stop.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()
