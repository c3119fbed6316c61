"""Saving an Ax experiment with our runners and metrics in it, and going on with it in another process.

Ax's JSON, with our classes added to its registries by hand: the bundle that Ax documents for that wants a database in
1.3.1. The file is the snapshot of a `Client`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ax.api.client import Client
from ax.core.metric import Metric
from ax.core.runner import Runner
from ax.exceptions.storage import JSONDecodeError, JSONEncodeError
from ax.orchestration.orchestrator import Orchestrator
from ax.storage.json_store.decoder import generation_strategy_from_json, object_from_json
from ax.storage.json_store.encoder import object_to_json
from ax.storage.json_store.encoders import metric_to_dict, runner_to_dict
from ax.storage.json_store.registry import (
    CORE_CLASS_DECODER_REGISTRY,
    CORE_CLASS_ENCODER_REGISTRY,
    CORE_DECODER_REGISTRY,
    CORE_ENCODER_REGISTRY,
)

from axk8s.ax.simulated_backend import SimulatedBackendRunner
from axk8s.ax.simulated_metric import SimulatedMetric
from axk8s.ax.synthetic import SyntheticRunner
from axk8s.ax.torchx_metric import TorchXMetric
from axk8s.ax.torchx_runner import TorchXRunner
from axk8s.errors import Axk8sError, UsageError

_OURS: tuple[type, ...] = (TorchXRunner, TorchXMetric, SyntheticRunner, SimulatedBackendRunner, SimulatedMetric)


def save(client: Client | Orchestrator, path: str | os.PathLike[str], *, classes: Iterable[type] = ()) -> None:
    """Write an experiment and its generation strategy, whole or not at all; trials may be running.

    Args:
        client: a `Client`, or an `Orchestrator`, whose options are not part of the file.
        path: the file.
        classes: runners and metrics of your own that are in the experiment.

    Raises:
        UsageError: there is no experiment to save.
        ComponentError: a component has no reference by which another process could find it.
        Axk8sError: the experiment holds an object that cannot be saved, or the file cannot be written.
    """
    encoders = {**CORE_ENCODER_REGISTRY, **{one: _encoder(one) for one in (*_OURS, *classes)}}
    if isinstance(client, Orchestrator):
        experiment, strategy = client.experiment, client.generation_strategy
    elif isinstance(client, Client):
        try:
            # Ax 1.3 has no other way to them.
            experiment, strategy = client._experiment, client._maybe_generation_strategy  # noqa: SLF001
        except AssertionError as error:
            raise UsageError("save(): the client has no experiment", hint="call configure_experiment first") from error
    else:
        raise UsageError(f"save(): this is {type(client).__name__}, neither a Client nor an Orchestrator of Ax")
    try:
        snapshot = {
            "_type": "Client",
            "experiment": object_to_json(experiment, encoders, CORE_CLASS_ENCODER_REGISTRY),
            "generation_strategy": None
            if strategy is None
            else object_to_json(strategy, encoders, CORE_CLASS_ENCODER_REGISTRY),
        }
        text = json.dumps(snapshot)
    except (JSONEncodeError, TypeError) as error:
        raise Axk8sError(
            f"the experiment cannot be saved: {error}", hint="give runners and metrics of your own in classes=[…]"
        ) from error
    file = Path(path)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fresh.write_text(text, "utf-8")
        fresh.replace(file)
    except OSError as error:
        raise Axk8sError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)


def load(path: str | os.PathLike[str], *, classes: Iterable[type] = ()) -> Client:
    """Read what `save` wrote; running trials are polled by their handles as before.

    For an `Orchestrator` take the experiment and the generation strategy of the `Client`.

    Raises:
        UsageError: there is no such file.
        Axk8sError: it was not written by `save`, or holds classes that are not in `classes`.
    """
    file = Path(path)
    decoders = {**CORE_DECODER_REGISTRY, **{one.__name__: one for one in (*_OURS, *classes)}}
    client = Client()
    try:
        snapshot = _snapshot(file)
        experiment = object_from_json(snapshot["experiment"], decoders, CORE_CLASS_DECODER_REGISTRY)
        client.set_experiment(experiment=experiment)
        if (strategy := snapshot.get("generation_strategy")) is not None:
            client.set_generation_strategy(
                generation_strategy_from_json(
                    strategy,
                    experiment=experiment,
                    decoder_registry=decoders,
                    class_decoder_registry=CORE_CLASS_DECODER_REGISTRY,
                )
            )
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {file}") from error
    except OSError as error:
        raise Axk8sError(f"{file} cannot be read: {error.strerror}") from error
    except (JSONDecodeError, ValueError, KeyError, TypeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise Axk8sError(
            f"{file} cannot be loaded: {what}", hint="give runners and metrics of your own in classes=[…]"
        ) from error
    return client


def _snapshot(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise Axk8sError(
            f"{file} is not JSON: {error}", hint="load() reads what save() wrote, and that is whole"
        ) from error
    if not isinstance(found, dict) or "experiment" not in found:
        raise Axk8sError(f"{file} holds no experiment", hint="load() reads what save() wrote")
    return found


def _encoder(one: type) -> Any:
    if issubclass(one, Runner):
        return runner_to_dict
    if issubclass(one, Metric):
        return metric_to_dict
    raise UsageError(f"classes=[{one.__name__}]: it is neither a Runner nor a Metric of Ax")
