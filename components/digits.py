"""A TorchX component: one training of a small classifier of handwritten digits.

Copy this file and `digits_train.py` to begin a sweep of your own: the component says what to run and with which
arguments, the script trains and reports. TorchX reads the annotations as they are, so a component must do without
`from __future__ import annotations`.
"""

import torchx.specs as specs


def digits(
    lr: float,
    hidden: int,
    optimizer: str = "adam",
    momentum: float = 0.0,
    epochs: int = 30,
    batch_size: int = 32,
    seed: int = 0,
    *,
    script: str = "digits_train.py",
    image: str = "",
) -> specs.AppDef:
    """Train on scikit-learn's digits and report `accuracy` on held-out images and `loss`, epoch by epoch.

    Args:
        lr: Learning rate.
        hidden: Width of the hidden layer.
        optimizer: `adam` or `sgd`.
        momentum: Momentum of `sgd`; `adam` does not look at it.
        epochs: Passes over the training images.
        batch_size: Images a step.
        seed: Of the weights and the order of the images; the held-out images are always the same.
        script: The training script as the job sees it: relative to the workspace, which is its working directory.
        image: Container image with torch and scikit-learn, where jobs run in containers; `Dockerfile` makes one. Empty:
            the one that the scheduler's option `image` names, so that a sweep may change from this machine to a cluster
            without a change here.
    """
    arguments = {
        "lr": lr,
        "hidden": hidden,
        "optimizer": optimizer,
        "momentum": momentum,
        "epochs": epochs,
        "batch-size": batch_size,
        "seed": seed,
    }
    return specs.AppDef(
        name="digits",
        roles=[
            specs.Role(
                name="trainer",
                image=image,
                entrypoint="python",  # on this machine a sweep takes the one that it runs with itself
                args=[script, *(f"--{name}={value}" for name, value in arguments.items())],
                resource=specs.Resource(cpu=1, gpu=0, memMB=1024),
            )
        ],
    )
