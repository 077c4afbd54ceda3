"""`vigil ble page`: live.html on this machine's loopback, which browsers count as a secure context."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from host_tools.errors import UserError

PAGE = Path(__file__).with_name("live.html")


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The page, and nothing else."""
        if self.path != "/":
            self.send_error(404)
            return
        body = PAGE.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def server(port: int = 0) -> ThreadingHTTPServer:
    """A server of the page on 127.0.0.1, not yet serving; port 0 takes a free one. Raises UserError."""
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    except OSError as e:
        raise UserError(f"port {port} on 127.0.0.1 is in use", "--port 0 takes a free one") from e
