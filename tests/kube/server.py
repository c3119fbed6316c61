"""An HTTP server that answers by a script: the faults that a real API server does not make on demand."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What it gets."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    events: Iterator[Any] | None = None
    """Lines of a watch as objects, or parts of a log as bytes: sent as they come; an answer lasts while they wait."""
    cut: bool = False
    """The connection is closed: after the last of the events, or else without any answer at all."""


def refusal(status: int, reason: str, message: str, **headers: str) -> Answer:
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message}
    return Answer(status, body, headers)


class Server:
    """Answers each request with what `script` says; remembers all of them."""

    def __init__(self, script: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self.asked = threading.Condition()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # answers go in small pieces

            def answer(self) -> None:
                url = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, url.path, dict(parse_qsl(url.query)), body, headers)
                with server.asked:
                    server.requests.append(request)
                    server.asked.notify_all()
                answer = script(request)
                if answer.cut and answer.events is None:
                    self.cut()
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name.replace("_", "-"), value)
                if answer.events is not None:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for event in answer.events:
                        self.chunk(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
                    if answer.cut:
                        self.cut()
                    else:
                        self.chunk(b"")
                    return
                data = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

            def cut(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def __getattr__(self, name: str) -> Callable[[], None]:
                if not name.startswith("do_"):
                    raise AttributeError(name)
                return self.answer

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
                """Silence."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def until(self, enough: Callable[[list[Request]], bool]) -> None:
        """Wait until the requests so far are what is waited for."""
        with self.asked:
            assert self.asked.wait_for(lambda: enough(self.requests), 30)

    def close(self) -> None:
        """End it; idempotent."""
        if not self._thread.is_alive():
            return
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def kubeconfig(self, path: Path, *, token: str = "secret", namespace: str = "") -> Path:
        """Write a kubeconfig that leads here."""
        context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "here", "context": context}],
        }
        path.write_text(json.dumps(content))
        return path
