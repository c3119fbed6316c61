"""Decision trees on scikit-learn's handwritten digits: how often they are right, and what they cost."""

from __future__ import annotations

import statistics

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold

FOLDS = 5


def train(model: str, depth: int, trees: int = 1) -> dict[str, float | tuple[float, float]]:
    """Accuracy as the mean over the folds with its standard error, and the size and the work of the last fold's model.

    A tree is a forest of one, which looks at every pixel and every image.
    """
    images, labels = load_digits(return_X_y=True)
    alone = model == "tree"
    accuracies: list[float] = []
    for learn, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(images, labels):
        forest = RandomForestClassifier(
            n_estimators=1 if alone else trees,
            max_depth=depth,
            max_features=None if alone else "sqrt",
            bootstrap=not alone,
            random_state=0,
        )
        forest.fit(images[learn], labels[learn])
        accuracies.append(float(forest.score(images[test], labels[test])))
    paths, _ = forest.decision_path(images[test])
    return {
        "accuracy": (statistics.mean(accuracies), statistics.stdev(accuracies) / FOLDS**0.5),
        "nodes": float(sum(tree.tree_.node_count for tree in forest.estimators_)),
        "comparisons": float(paths.sum() / len(test)),  # every node on the way, so no clock is needed
    }
