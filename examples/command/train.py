"""Gradient descent on a line through four points; knows nothing of sweeps and prints one marked line a step."""

from __future__ import annotations

import argparse
import json

POINTS = [(0.0, 1.0), (1.0, 2.9), (2.0, 5.1), (3.0, 7.0)]

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--steps", type=int, default=20)
options = parser.parse_args()

slope = intercept = 0.0
for step in range(options.steps):
    errors = [slope * x + intercept - y for x, y in POINTS]
    slope -= options.lr * 2 * sum(error * x for error, (x, _) in zip(errors, POINTS, strict=True)) / len(POINTS)
    intercept -= options.lr * 2 * sum(errors) / len(POINTS)
    loss = sum((slope * x + intercept - y) ** 2 for x, y in POINTS) / len(POINTS)
    print("axk8s: " + json.dumps({"step": step, "loss": loss}), flush=True)
