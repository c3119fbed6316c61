"""A proxy before the API server: HTTP in, HTTPS out, the caller's credentials, and faults where a test wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axk8s.kube.client import Kube
from axk8s.kube.rate import Patience
from tests.cluster import kubeconfig, namespace
from tests.cluster.fault import Cut, Delay, Fault, Lose, Refuse, Rule, Stall
from tests.cluster.namespace import Namespace
from tests.cluster.relay import Relay

WATCHES = r"[?&]watch=true"
"""Of paths with their queries, those of watches."""


class Proxy:
    """Passes everything on, but for what rules and switches say."""

    def __init__(self, cluster: dict[str, Any], folder: Path) -> None:
        """Lead to the cluster of this kubeconfig entry; files are written into the folder."""
        self._folder = folder
        self._rules: list[Rule] = []
        self._seen: list[tuple[str, str]] = []
        self._relay = Relay(cluster, self._fault)

    # Where tests lead their clients

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._relay.port}"

    def kubeconfig(self, of: Namespace) -> Path:
        """A namespace's kubeconfig, with the way through here."""
        file = self._folder / f"{of.name}.through-proxy.kubeconfig"
        return kubeconfig.write(file, {"server": self.url}, token=of.token, namespace=of.name)

    def kube(self, of: Namespace, *, patience: Patience | None = None) -> Kube:
        """A namespace's client, through here."""
        return namespace.client_of(self.kubeconfig(of), patience=patience)

    def seen(self, method: str = "", containing: str = "") -> list[tuple[str, str]]:
        """Method, and path with query, of all requests so far that are like this; with those that met a fault."""
        return [each for each in list(self._seen) if method in ("", each[0]) and containing in each[1]]

    # Faults of single requests: of the rules that fit, the oldest counts

    def refuse(
        self,
        status: int,
        *,
        method: str = ".*",
        path: str = "",
        times: int | None = 1,
        retry_after: int | None = None,
        message: str = "played by the proxy",
    ) -> Rule:
        """Answer with this status and do nothing."""
        return self._rule(Refuse(status, retry_after, message), method, path, times)

    def lose(self, *, silence: float | None = 0.0, method: str = ".*", path: str = "", times: int | None = 1) -> Rule:
        """Do what is asked and cut the connection instead of answering, after so many seconds (None: never)."""
        return self._rule(Lose(silence), method, path, times)

    def delay(self, seconds: float, *, method: str = ".*", path: str = "", times: int | None = 1) -> Rule:
        """Pass it on so much later, also when the client has given up by then."""
        return self._rule(Delay(seconds), method, path, times)

    def cut(self, *, after: int = 0, torn: bool = False, path: str = WATCHES, times: int | None = 1) -> Rule:
        """Cut a watch after so many events; `torn`: in the middle of the next one."""
        return self._rule(Cut(after, torn), "GET", path, times)

    def stall(self, *, after: int = 0, path: str = WATCHES, times: int | None = 1) -> Rule:
        """Let nothing through a watch after so many events, and leave it open."""
        return self._rule(Stall(after), "GET", path, times)

    # Switches for all connections

    def watches(self) -> int:
        """How many watches and followed logs are open."""
        return len(self._relay.streams())

    def cut_all(self) -> int:
        """Cut all open watches now; says how many there were."""
        found = self._relay.streams()
        for each in found:
            each.cut()
        return len(found)

    def stall_all(self) -> int:
        """Let nothing more through the open watches, and leave them open; says how many there were."""
        found = self._relay.streams()
        for each in found:
            each.stalled.set()
        return len(found)

    def shut(self, yes: bool = True) -> None:
        """Cut all connections and refuse further ones; with False accept them again, at the same port."""
        if yes:
            self._relay.shut()
        else:
            self._relay.open()

    def close(self) -> None:
        """End everything; an error of the proxy itself is raised here."""
        self._relay.close()

    def _rule(self, fault: Fault, method: str, path: str, times: int | None) -> Rule:
        made = Rule(fault, method, path, times)
        self._rules.append(made)
        return made

    def _fault(self, method: str, uri: str) -> Fault | None:
        self._seen.append((method, uri))
        return next((rule.fault for rule in list(self._rules) if rule.claims(method, uri)), None)
