"""The objects whose manifests are kept in `golden/`: what each kind of app becomes."""

from __future__ import annotations

from collections.abc import Callable

from torchx.components.dist import ddp
from torchx.specs import AppDef, BindMount, RetryPolicy, VolumeMount

from axk8s.kube.client import Object
from axk8s.schedulers.kubernetes_job import code
from axk8s.schedulers.kubernetes_job import job as manifests
from tests.schedulers.kubernetes_job.apps import IMAGE, app, job, jobset, resource, role

LABELS = {
    "axk8s/sweep-uid": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "axk8s/sweep": "tune",
    "axk8s/trial": "3",
    "axk8s/attempt": "0",
}
FILES = {
    "code/train.py": b'from pkg.model import Net\n\nprint("$(HOME) ${HOME} $$", Net)\n',
    "code/pkg/__init__.py": b"",
    "code/pkg/model.py": b"class Net:\n    ...\n",
    "code/pkg/deep/er/one.txt": "grün\ttab\r\nline\n".encode(),
    "code/x/y.py": b"first = 1\n",
    "code/x__y.py": b"second = 2\n",
    "code/modèle v2 (copy).py": b"odd = 'name'\n",
    "code/..data": b"two dots\n",
    "code/pixel.png": bytes.fromhex("89504e470d0a1a0a0000000d49484452"),
    "code/zeros.bin": bytes(5),
    "support/axk8s/training.py": b"def report(): ...\n",
}


def documents() -> dict[str, Object]:
    """Every object by the name of its file without `.yaml`; none has a namespace, and all have different names."""
    return {name: make() for name, make in _MAKERS.items()}


def _plain() -> Object:
    return job(app(), name="plain")


def _devices() -> Object:
    asked = resource(
        cpu=7.5,
        gpu=2,
        memory=16384,
        capabilities={"node.kubernetes.io/instance-type": "big.8", "vendor.example.com/note": "not a label of nodes"},
        devices={"example.com/fabric": 1},
    )
    mounts = [
        BindMount("/mnt/scratch", "/scratch"),
        BindMount("/mnt/data", "/data", read_only=True),
        VolumeMount("models", "/models"),
        VolumeMount("corpus", "/corpus", read_only=True),
    ]
    return job(
        app(resource=asked, mounts=mounts, port_map={"tensorboard": 6006, "Not_A_Name": 6007}),
        name="devices",
        volumes=["shared:/shared", "frozen:/frozen:ro"],
        node_selector={"pool": "gpu"},
        tolerations=["dedicated=ml:NoSchedule", "spot", "draining:NoExecute"],
    )


def _other_vendor() -> Object:
    asked = resource(cpu=4, memory=1000, devices={"amd.com/gpu": 4})
    return job(app(resource=asked), name="other-vendor", cpu_limit=False)


def distributed() -> AppDef:
    """TorchX's own distributed component on four replicas."""
    return ddp(
        "--epochs",
        "3",
        "a b",
        script="train.py",
        image=IMAGE,
        name="tune/ddp",
        cpu=2,
        memMB=2048,
        j="4x2",
        env={"LOGLEVEL": "WARNING", "GREETING": "$$HOME"},
    )


def _distributed() -> Object:
    made = distributed()
    made.metadata = dict(LABELS)
    return job(made, name="distributed", service="tune-0a1b2c")


def _service() -> Object:
    labels = manifests.ours({name: LABELS[name] for name in ("axk8s/sweep-uid", "axk8s/sweep")})
    return manifests.service(
        "tune-0a1b2c", None, labels=labels, selector={"axk8s/sweep-uid": LABELS["axk8s/sweep-uid"]}
    )


def _elastic() -> Object:
    made = ddp(script="train.py", image=IMAGE, name="tune/ddp", cpu=1, memMB=512, j="2:4x1", env={"LOGLEVEL": "ERROR"})
    made.metadata = dict(LABELS)
    return job(made, name="elastic", service="tune-0a1b2c", queue="team-queue")


def _restricted() -> Object:
    asked = resource(cpu=1, memory=512)
    return job(app(resource=asked), name="restricted", restricted=True, run_as_user=2000, service_account="trainer")


def _queued() -> Object:
    asked = resource(cpu=1, memory=512)
    return job(
        app(resource=asked, metadata=LABELS),
        name="queued",
        queue="team-queue",
        priority_class="low",
        timeout=90.5,
        grace=60,
    )


def _prioritized() -> Object:
    return job(app(), name="prioritized", priority_class="high", ttl_seconds=60, image_pull_policy="Always")


def _secrets() -> Object:
    return job(
        app(env={"PLAIN": "1"}),
        name="secrets",
        secret_env={"WANDB_API_KEY": "wandb/api-key", "TOKEN": "hub/token"},
        env_from=["bucket", "database"],
        image_pull_secrets=["registry", "mirror"],
    )


def _overlaid() -> Object:
    changes = {
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "shareProcessNamespace": None,
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "containers": [
            {
                "name": "main",
                "tty": True,
                "terminationMessagePolicy": None,
                "env": [{"name": "A", "value": "changed"}, {"name": "NEW", "value": "added"}],
                "volumeMounts": [
                    {"name": "cache", "mountPath": "/one", "subPath": "one"},
                    {"name": "cache", "mountPath": "/two", "subPath": "two"},
                ],
            },
            {"name": "beside", "image": "registry.example.com/beside:1"},
        ],
        "volumes": [{"name": "cache", "emptyDir": {}}, {"name": "shm", "emptyDir": {"sizeLimit": "1Gi"}}],
    }
    return job(app(env={"A": "1", "B": "2"}), name="overlaid", changes=changes)


def _with_code() -> Object:
    made = app(
        args=["train.py", "cost: 5$$", "${replica_id} of ${app_id}, ${rank0_env}", "über 'alles' \"und\" mehr\nnoch"],
        env={"TEXT": "$(PATH) $${HOME}", "WHO": "${app_id}-${replica_id}"},
        metadata={
            **LABELS,
            "axk8s/parameters": '{"lr": 0.1, "name": "größer"}',
            "not a key": "is left out",
        },
    )
    return job(
        made,
        name="with-code",
        code="tune-0a1b2c-code-00000000",
        code_files=sorted(FILES),
        labels={"team": "vision"},
        annotations={"example.com/note": "any text, also with spaces"},
    )


def _code() -> Object:
    return code.config_map("tune-0a1b2c-code-00000000", FILES, manifests.ours(LABELS))


def _elsewhere() -> Object:
    return job(app(), name="elsewhere", avoid_nodes=["node-1", "node-2.example.com"])


def _begun_anew() -> Object:
    return job(app(max_retries=2), name="begun-anew")


def _replicas_begun_anew() -> Object:
    made = app(max_retries=3, num_replicas=2, retry_policy=RetryPolicy.REPLICA)
    return job(made, name="replicas-begun-anew")


def _two_roles() -> Object:
    trainer = role(name="trainer", num_replicas=2, env={"WHO": "${replica_id} of ${app_id}"})
    reader = role(name="reader", args=["-m", "read", "${replica_id}", "--to", "${rank0_env}"], env=trainer.env)
    return jobset(app(trainer, reader, metadata=LABELS), name="two-roles")


def _unlike_roles() -> Object:
    """Each role asks for its own machines, and the trainers for one rack."""
    own = {"metadata": {"annotations": {"kueue.x-k8s.io/podset-required-topology": "example.com/rack"}}}
    trainer = role(
        name="trainer", num_replicas=4, resource=resource(cpu=8, gpu=4, memory=65536), metadata={"kubernetes": own}
    )
    reader = role(name="Data_Reader", num_replicas=2, resource=resource(cpu=16, memory=8192))
    changes = {
        "priorityClassName": "training",
        "roles": {
            "trainer": {"nodeSelector": {"pool": "gpu"}},
            "Data_Reader": {
                "metadata": {"labels": {"team": "data"}},
                "spec": {"nodeSelector": {"pool": "cpu"}, "tolerations": [{"key": "spot", "operator": "Exists"}]},
            },
        },
    }
    return jobset(app(trainer, reader), name="unlike-roles", changes=changes)


def _queued_roles() -> Object:
    asked = resource(cpu=1, memory=512)
    roles = (role(name=name, resource=asked) for name in ("trainer", "reader"))
    return jobset(
        app(*roles, metadata=LABELS), name="queued-roles", queue="team-queue", priority_class="low", restricted=True
    )


def _roles_begun_anew() -> Object:
    retried = {"max_retries": 3, "retry_policy": RetryPolicy.APPLICATION}
    return jobset(
        app(role(name="trainer", **retried), role(name="reader", **retried), role(name="judge")),
        name="roles-begun-anew",
    )


_MAKERS: dict[str, Callable[[], Object]] = {
    "plain": _plain,
    "devices": _devices,
    "other-vendor": _other_vendor,
    "distributed": _distributed,
    "distributed-service": _service,
    "elastic": _elastic,
    "restricted": _restricted,
    "queued": _queued,
    "prioritized": _prioritized,
    "secrets": _secrets,
    "overlaid": _overlaid,
    "with-code": _with_code,
    "code": _code,
    "elsewhere": _elsewhere,
    "begun-anew": _begun_anew,
    "replicas-begun-anew": _replicas_begun_anew,
    "two-roles": _two_roles,
    "unlike-roles": _unlike_roles,
    "queued-roles": _queued_roles,
    "roles-begun-anew": _roles_begun_anew,
}
