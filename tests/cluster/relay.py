"""The proxy's machinery: connections of clients, each with its own to the server, and what passes between them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cluster.fault import Cut, Delay, Fault, Lose, Refuse, Stall

_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "content-length"}
_CONNECTING = 10.0
# What reading and writing raise on connections that were cut, from here or from either side.
_CUT = (OSError, http.client.HTTPException)


class Connection:
    """A client's connection and the one to the server that serves it."""

    def __init__(self, client: socket.socket, server: http.client.HTTPSConnection) -> None:
        self._client, self._server = client, server
        self._used = False
        self.streams = False
        self.stalled = threading.Event()
        self.ended = threading.Event()

    def ask(self, method: str, uri: str, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        """The server's answer, whose body is still to be read."""
        try:
            return self._ask(method, uri, body, headers)
        except ConnectionError:
            # The server may have closed a connection that was idle for long.
            if not self._used or self.ended.is_set():
                raise
            self._server.close()
            return self._ask(method, uri, body, headers)

    @property
    def connected(self) -> bool:
        return self._server.sock is not None

    def _ask(self, method: str, uri: str, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        if not self.connected:
            self._used = False
            self._server.connect()
            self._server.sock.settimeout(None)  # that time was for connecting
        self._server.request(method, uri, body or None, headers)
        answer = self._server.getresponse()
        self._used = True
        return answer

    def cut(self) -> None:
        """End both, from any thread; whoever waits for them wakes up."""
        self.ended.set()
        for each in (self._client, self._server.sock):
            if each is not None:
                with contextlib.suppress(OSError):
                    # Not the method of a TLS socket: that takes the TLS away from whoever reads.
                    socket.socket.shutdown(each, socket.SHUT_RDWR)

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Meanwhile the client leaving ends the connection; nothing else may read from it then, and it ends after."""

        def heed() -> None:
            with contextlib.suppress(OSError):
                while self._client.recv(1 << 10):
                    pass
            self.cut()

        thread = threading.Thread(target=heed, name="proxy-heeds-client")
        thread.start()
        try:
            yield
        finally:
            self.cut()
            thread.join()

    def close(self) -> None:
        """Give back what it holds."""
        self._server.close()


class Relay:
    """Accepts clients and serves them, with the fault that `fault` names for a request's method and URI."""

    def __init__(self, cluster: dict[str, Any], fault: Callable[[str, str], Fault | None]) -> None:
        """Lead to the cluster of this kubeconfig entry, from a free port."""
        url = urlsplit(str(cluster["server"]))
        assert url.hostname, url
        self._host, self._port = url.hostname, url.port or 443
        self._tls = _tls(cluster)
        self.fault = fault
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()
        self._bugs: list[BaseException] = []
        self._shut = False
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self._listen()

    def streams(self) -> list[Connection]:
        """The connections of watches and followed logs."""
        with self._lock:
            return [each for each in self._connections if each.streams and not each.ended.is_set()]

    def shut(self) -> None:
        """Refuse connections, and cut those that there are."""
        if self._shut:
            return
        self._end()
        # Bound, but nobody listens: whoever connects is refused, and nobody else can take the port.
        self._listener = _bound(self.port)

    def open(self) -> None:
        """Accept connections again."""
        if self._shut:
            self._shut = False
            self._listen()

    def close(self) -> None:
        """End everything; an error of our own is raised."""
        self._end()
        self._listener.close()
        if self._bugs:
            raise self._bugs[0]

    def connection(self, client: socket.socket) -> Connection:
        """A connection that was accepted."""
        server = http.client.HTTPSConnection(self._host, self._port, timeout=_CONNECTING, context=self._tls)
        made = Connection(client, server)
        with self._lock:
            self._connections.add(made)
            late = self._shut
        if late:
            made.cut()
        return made

    def gone(self, connection: Connection) -> None:
        """It has ended."""
        connection.close()
        with self._lock:
            self._connections.discard(connection)

    def failed(self, error: BaseException | None) -> None:
        """An error while a connection was served; that it was cut is none."""
        if error is not None and not isinstance(error, _CUT):
            self._bugs.append(error)

    def _listen(self) -> None:
        self._http = _Listener(self, self._listener)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="proxy")
        self._thread.start()

    def _end(self) -> None:
        with self._lock:
            if self._shut:
                return
            self._shut = True
            found = list(self._connections)
        self._http.shutdown()
        self._thread.join()
        for each in found:
            each.cut()
        self._http.server_close()  # waits for the threads of all connections


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, relay: Relay, listener: socket.socket) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.relay, self.socket = relay, listener
        self.server_activate()

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.relay.failed(sys.exception())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self._between = self.server.relay.connection(self.connection)

    def finish(self) -> None:
        self.server.relay.gone(self._between)
        super().finish()

    def __getattr__(self, name: str) -> Callable[[], None]:
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self._serve

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Silence."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.relay.fault(self.command, self.path)
        if isinstance(fault, Refuse):
            self._refuse(fault)
            return
        if isinstance(fault, Delay) and self._between.ended.wait(fault.seconds):
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _ONE_HOP}
        answer = self._between.ask(self.command, self.path, body, headers)
        query = parse_qs(urlsplit(self.path).query)
        streams = answer.status == 200 and "true" in (*query.get("watch", ()), *query.get("follow", ()))
        if streams:
            self._stream(answer, fault)
            return
        content = answer.read()
        if isinstance(fault, Lose):
            self._lose(fault)
            return
        self._head(answer)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, fault: Refuse) -> None:
        content = fault.body()
        self.send_response_only(fault.status)
        self.send_header("Content-Type", "application/json")
        if fault.retry_after is not None:
            self.send_header("Retry-After", str(fault.retry_after))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _lose(self, fault: Lose) -> None:
        self.close_connection = True
        with self._between.heeded():
            self._between.ended.wait(fault.silence)

    def _stream(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        self.close_connection = True
        with self._between.heeded():
            if isinstance(fault, Lose):
                self._between.ended.wait(fault.silence)
                return
            self._head(answer)
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
            self.end_headers()
            self._between.streams = True
            for content in _until(fault, answer):
                if self._between.stalled.is_set():
                    self._between.ended.wait()
                    return
                self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
            if isinstance(fault, Stall):
                self._between.ended.wait()
            elif not isinstance(fault, Cut):
                self.wfile.write(b"0\r\n\r\n")

    def _head(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _ONE_HOP:
                self.send_header(name, value)


def _until(fault: Fault | None, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """What of a stream comes through."""
    if not isinstance(fault, Cut | Stall):
        while content := answer.read1(1 << 16):
            yield content
        return
    for _ in range(fault.after):
        yield answer.readline()
    if isinstance(fault, Cut) and fault.torn:
        line = answer.readline()
        yield line[: len(line) // 2]


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


def _tls(cluster: dict[str, Any]) -> ssl.SSLContext:
    authority = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(cadata=base64.b64decode(authority).decode() if authority else None)
    # Python 3.13 asks for extensions that the certificates of many clusters do not have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
