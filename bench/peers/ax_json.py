"""Ax's own way to keep an experiment: `Client.save_to_json_file` after each change. Prints its figures as JSON."""

import argparse
import json
import logging
import os
import random
import resource
import time
from pathlib import Path


def memory() -> float:
    """Resident memory in MiB; 0 where the kernel does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except FileNotFoundError:
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--file", type=Path, required=True)
    options = parser.parse_args()

    began = time.perf_counter()
    from ax.api.client import Client
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    imported = time.perf_counter() - began
    logging.disable(logging.WARNING)

    client = Client()
    client.configure_experiment(
        name="large",
        parameters=[
            RangeParameterConfig(name="lr", parameter_type="float", bounds=(1e-5, 1e-1), scaling="log"),
            RangeParameterConfig(name="weight_decay", parameter_type="float", bounds=(0.0, 0.1)),
            RangeParameterConfig(name="hidden", parameter_type="int", bounds=(16, 1024)),
            RangeParameterConfig(name="layers", parameter_type="int", bounds=(1, 12)),
            ChoiceParameterConfig(
                name="optimizer", parameter_type="str", values=["adam", "sgd", "lion"], is_ordered=False
            ),
        ],
    )
    client.configure_optimization(objective="accuracy")
    chance = random.Random(0)
    before = memory()
    began = time.perf_counter()
    for _ in range(options.trials):
        trial = client.attach_trial(
            {
                "lr": 10 ** chance.uniform(-5, -1),
                "weight_decay": chance.uniform(0.0, 0.1),
                "hidden": chance.randint(16, 1024),
                "layers": chance.randint(1, 12),
                "optimizer": chance.choice(["adam", "sgd", "lion"]),
            }
        )
        client.complete_trial(trial, {"accuracy": chance.random()})
    made = time.perf_counter() - began
    after = memory()

    began = time.perf_counter()
    client.save_to_json_file(str(options.file))
    saved = time.perf_counter() - began

    del client
    began = time.perf_counter()
    Client.load_from_json_file(str(options.file))
    loaded = time.perf_counter() - began
    print(
        json.dumps(
            {
                "trials": options.trials,
                "import": imported,
                "make": made,
                "save": saved,
                "load": loaded,
                "bytes": options.file.stat().st_size,
                "memory_before": before,
                "memory_after": after,
                "memory_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
