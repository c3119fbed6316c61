"""The training code: learns to tell two interleaved half circles apart. Standard library only, a second a run."""

from __future__ import annotations

import math
import random

from axk8s import report

Example = tuple[float, float, int]


def half_circles(count: int, seed: int, noise: float = 0.15) -> list[Example]:
    """Points of two classes that no straight line can separate."""
    chance = random.Random(seed)
    examples = []
    for index in range(count):
        angle, label = chance.uniform(0, math.pi), index % 2
        x, y = (math.cos(angle), math.sin(angle)) if label else (1 - math.cos(angle), 0.5 - math.sin(angle))
        examples.append((x + chance.gauss(0, noise), y + chance.gauss(0, noise), label))
    return examples


def features(x: float, y: float, degree: int) -> list[float]:
    """All products of powers of x and y up to `degree`."""
    return [x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)]


def train(lr: float, degree: int, optimizer: str, momentum: float = 0.0, epochs: int = 20) -> float:
    """Train a logistic regression; what is returned is the objective's value, here the accuracy on unseen points.

    The arguments are the parameters and `arguments` of sweep.yaml. `momentum` has a default because it is conditional:
    it is only given when `optimizer` is `momentum`.
    """
    seen, unseen = half_circles(200, seed=1), half_circles(200, seed=2)
    weights = [0.0] * len(features(0.0, 0.0, degree))
    velocity = list(weights)
    order = random.Random(0)
    accuracy = 0.0
    for epoch in range(epochs):
        order.shuffle(seen)
        for x, y, label in seen:
            inputs = features(x, y, degree)
            error = sigmoid(dot(weights, inputs)) - label
            keep = momentum if optimizer == "momentum" else 0.0
            velocity = [keep * v - lr * error * value for v, value in zip(velocity, inputs, strict=True)]
            weights = [weight + v for weight, v in zip(weights, velocity, strict=True)]
        right = sum((dot(weights, features(x, y, degree)) > 0) == bool(label) for x, y, label in unseen)
        accuracy = right / len(unseen)
        report(step=epoch, accuracy=accuracy)  # the curve of this trial: see it with `axk8s logs`
    return accuracy


def dot(one: list[float], other: list[float]) -> float:
    """The sum of products."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def sigmoid(value: float) -> float:
    """Between 0 and 1, for any value."""
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
