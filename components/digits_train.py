"""Train a small classifier of handwritten digits, and report its accuracy on images that it never saw.

Runs by hand as well: `python digits_train.py --lr=0.01 --hidden=64` prints what it would report to a sweep.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from axk8s.training import checkpoint_dir, report


def main() -> None:
    """Train as the command line says."""
    options = arguments()
    torch.set_num_threads(1)  # the model is tiny, and several trials share the machine
    torch.manual_seed(options.seed)

    digits = load_digits()
    # One split for all seeds, so that trials differ by their parameters and not by their exam.
    split = train_test_split(digits.data / 16.0, digits.target, test_size=0.25, random_state=0, stratify=digits.target)
    train_images, test_images = (torch.tensor(part, dtype=torch.float32) for part in split[:2])
    train_labels, test_labels = (torch.tensor(part) for part in split[2:])

    model = nn.Sequential(nn.Linear(64, options.hidden), nn.ReLU(), nn.Linear(options.hidden, 10))
    optimizer: torch.optim.Optimizer
    if options.optimizer == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=options.lr, momentum=options.momentum)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)

    folder = checkpoint_dir()
    checkpoint = folder / "last.pt" if folder else None
    first = 0
    if checkpoint and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["epoch"] + 1
        # An earlier attempt got this far; said again, because a sweep looks at the last attempt only.
        report(saved["metrics"], step=saved["epoch"])

    for epoch in range(first, options.epochs):
        # The order depends on the epoch alone, so a resumed training goes on exactly as an unbroken one.
        order = torch.randperm(
            len(train_images), generator=torch.Generator().manual_seed(options.seed * 10_007 + epoch)
        )
        model.train()
        for batch in order.split(options.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train_images[batch]), train_labels[batch]).backward()
            optimizer.step()

        model.eval()
        with torch.no_grad():
            scores = model(test_images)
            metrics = {
                "accuracy": int((scores.argmax(1) == test_labels).sum()) / len(test_labels),
                "loss": nn.functional.cross_entropy(scores, test_labels).item(),
            }
        if checkpoint:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save({**state, "epoch": epoch, "metrics": metrics}, checkpoint)
        report(metrics, step=epoch)


def arguments() -> argparse.Namespace:
    """The command line; the component passes all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--hidden", type=int, required=True)
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def save(state: dict[str, object], path: Path) -> None:
    """Replace the checkpoint at once: a killed training must not leave half a file."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


if __name__ == "__main__":
    main()
