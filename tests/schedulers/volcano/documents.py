"""The Volcano Jobs whose manifests are kept in `golden/`: what each kind of app becomes."""

from __future__ import annotations

from collections.abc import Callable

from torchx.components.dist import ddp
from torchx.specs import AppDef, RetryPolicy

from axk8s.kube.client import Object
from tests.schedulers.kubernetes_job.apps import IMAGE, app, resource, role
from tests.schedulers.kubernetes_job.documents import LABELS
from tests.schedulers.volcano.apps import asked, volcano

RETRIED = {"max_retries": 2, "retry_policy": RetryPolicy.APPLICATION}


def single() -> AppDef:
    """One pod, as most trials are."""
    known = {**LABELS, "axk8s/parameters": '{"lr": 0.1}'}
    return app(resource=resource(cpu=2, memory=4096), env={"WHO": "${app_id}-${replica_id}"}, metadata=known)


def gang() -> AppDef:
    """TorchX's own distributed component on four replicas."""
    made = ddp("--epochs", "3", script="train.py", image=IMAGE, name="tune/ddp", cpu=2, memMB=2048, gpu=1, j="4x2")
    made.metadata = dict(LABELS)
    return made


def elastic() -> AppDef:
    """Two to four replicas."""
    return ddp(script="train.py", image=IMAGE, name="tune/ddp", cpu=1, memMB=512, j="2:4x1")


def roles() -> AppDef:
    """A trainer of two replicas, and a reader that has to know where the first of them is."""
    trainer = role(
        name="trainer",
        num_replicas=2,
        env={"WHO": "${replica_id} of ${app_id}"},
        port_map={"peers": 29500, "Not_A_Name": 6007},
    )
    reader = role(name="reader", args=["-m", "read", "${replica_id}", "--from", "$${${rank0_env}}"])
    return app(trainer, reader)


def retried() -> AppDef:
    """All begin anew when the trainer fails; when the judge does, all ends."""
    return app(role(name="trainer", num_replicas=2, **RETRIED), role(name="judge"))


APPS: dict[str, Callable[[], AppDef]] = {
    "single": single,
    "gang": gang,
    "elastic": elastic,
    "roles": roles,
    "retried": retried,
}
"""What TorchX and we make a Job of, with no option given."""


def documents() -> dict[str, Object]:
    """Every Job by the name of its file without `.yaml`; none has a namespace, and all have different names."""
    plain = {name: volcano(make(), name=name) for name, make in APPS.items()}
    return {**plain, "furnished": _furnished()}


def _furnished() -> Object:
    """With all that options can say."""
    return volcano(
        single(),
        name="furnished",
        restricted=True,
        queue="training",
        priority_class="low",
        timeout=90.5,
        grace=60,
        ttl_seconds=3600,
        secret_env={"WANDB_API_KEY": "wandb/api-key"},
        volumes=["shared:/shared"],
        code="tune-0a1b2c-code-00000000",
        code_files=["code/train.py", "support/axk8s/training.py"],
        labels={"team": "vision"},
        changes={"nodeSelector": {"pool": "gpu"}},
    )


def torchx(name: str) -> Object:
    """TorchX's own request for one of them."""
    return asked(APPS[name]())
