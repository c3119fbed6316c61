"""A server's script by what is asked: `GET jobs/tune` is answered with the next of its answers, and with the last."""

from __future__ import annotations

from axk8s.kube.client import Object
from tests.kube.server import Answer, Request, refusal

SPACE: Object = {"metadata": {"name": "team", "uid": "space-1", "labels": {}}}


class Routes:
    """A script with answers that a test may change at any time; whatever has none is not found."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {"GET namespace": [Answer(200, SPACE)]}

    def on(self, what: str, *answers: Answer | Object) -> None:
        self.answers[what] = [one if isinstance(one, Answer) else Answer(200, one) for one in answers]

    def __call__(self, request: Request) -> Answer:
        _, ours, below = request.path.partition("/namespaces/team")
        found = self.answers.get(f"{request.method} {below.strip('/') or 'namespace'}") if ours else None
        if found is None:
            return refusal(404, "NotFound", f"{request.method} {request.path} not found")
        return found.pop(0) if len(found) > 1 else found[0]


def listing(*objects: Object) -> Object:
    return {"metadata": {"resourceVersion": "5"}, "items": list(objects)}
