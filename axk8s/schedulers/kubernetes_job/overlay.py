"""The user's own changes to a pod, merged into ours last of all. Pure.

Mappings are merged key by key, and a key whose value is null is removed. Lists of things with a name (containers,
volumes, variables, image pull secrets) are merged by it, so that `containers: [{name: main, tty: true}]` changes our
container and adds none; mounts by their path, for one volume may be mounted twice, and ports by their number. Other
lists of mappings (tolerations) are appended to, lists of plain values replaced. It is what `kubectl patch` calls a
strategic merge, without a schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_IDENTITIES = ("mountPath", "containerPort", "topologyKey", "name")
"""What things in a list are told apart by; the first one that the overlay gives."""


def merged(ours: Any, overlay: Any) -> Any:
    """`ours` with the overlay's changes; neither is changed."""
    if isinstance(ours, Mapping) and isinstance(overlay, Mapping):
        whole = {**ours}
        for key, value in overlay.items():
            if value is None:
                whole.pop(key, None)
            else:
                whole[key] = merged(ours.get(key), value)
        return whole
    if isinstance(ours, list) and isinstance(overlay, list) and _of_mappings([*ours, *overlay]):
        return _lists(ours, overlay)
    if isinstance(overlay, Mapping):
        return merged({}, overlay)  # without its nulls
    return overlay


def _lists(ours: list[Any], overlay: list[Any]) -> list[Any]:
    whole = list(ours)
    for item in overlay:
        at = next((index for index, one in enumerate(whole) if _same(one, item)), None)
        if at is None:
            whole.append(merged({}, item))
        else:
            whole[at] = merged(whole[at], item)
    return whole


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    key = next((key for key in _IDENTITIES if key in other), None)
    return key is not None and one.get(key) == other[key]


def _of_mappings(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, Mapping) for item in items)
