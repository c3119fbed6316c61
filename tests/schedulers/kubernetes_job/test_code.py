"""Code as a ConfigMap: every file arrives under its path, whatever it is called and whatever is in it."""

from __future__ import annotations

import base64
import json
import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axk8s.schedulers.kubernetes_job import code

LABELS = {"app.kubernetes.io/managed-by": "axk8s"}
LEGAL = re.compile(r"[-._a-zA-Z0-9]{1,253}")

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
similar = st.text(st.sampled_from("a._-/ü01"), min_size=1, max_size=8)


@given(st.lists(paths | similar, unique=True, max_size=20))
@example(["2.x__y", "x/y", "x__y"])
@example(["..data", ".", "..", "a"])
@example(["/".join(["a"] * 300), "b/" + "/".join(["a"] * 300)])
@example(["ü" * 150 + "..py" + "x" * 196])
def test_keys_are_unique_and_legal_whatever_the_paths(found: list[str]) -> None:
    keys = code.keys(found)

    assert len(set(keys)) == len(keys) == len(found)
    for key in keys:
        assert LEGAL.fullmatch(key)
        assert key != "."
        assert not key.startswith("..")


def test_keys_can_be_read() -> None:
    assert code.keys(["code/train.py", "code/pkg/model v2.py"]) == ["code__train.py", "code__pkg__model_v2.py"]


@given(
    st.dictionaries(
        paths | similar, st.binary(max_size=40) | st.text(max_size=40).map(lambda t: t.encode("utf-8", "replace"))
    )
)
def test_what_is_mounted_is_what_was_there(files: dict[str, bytes]) -> None:
    made = code.config_map("c", files, LABELS)
    volume = code.volume("c", sorted(files))

    found = {}
    for item in volume["configMap"]["items"]:
        text = made.get("data", {}).get(item["key"])
        binary = made.get("binaryData", {}).get(item["key"])
        assert (text is None) != (binary is None)
        found[item["path"]] = text.encode() if text is not None else base64.b64decode(binary)
    assert found == files
    assert volume["configMap"]["name"] == "c"


def test_a_config_map_is_immutable_labelled_and_without_empty_parts() -> None:
    made = code.config_map("c", {"a": b"text"}, LABELS)

    assert (made["immutable"], made["metadata"]) == (True, {"name": "c", "labels": LABELS})
    assert "binaryData" not in made
    assert "data" not in code.config_map("c", {"a": b"\xff"}, LABELS)


def test_files_keep_the_permission_to_be_run() -> None:
    assert code.volume("c", ["a"])["configMap"]["defaultMode"] == 0o755


def test_a_name_of_code_tells_it_from_all_other_code() -> None:
    first = {"a": b"1", "b": b"2"}

    assert re.fullmatch("[0-9a-f]{8}", code.digest(first))
    assert code.digest(first) == code.digest(dict(reversed(first.items())))
    others = [{"a": b"1", "b": b"3"}, {"a": b"1", "c": b"2"}, {"a": b"12", "b": b""}, {"a": b"1"}, {}]
    assert len({code.digest(files) for files in [first, *others]}) == 6


@pytest.mark.parametrize(
    ("files", "refused"),
    [
        ({}, False),
        ({"a": b"x" * code.LIMIT}, False),
        ({"a": b"x" * (code.LIMIT + 1)}, True),
        ({"a": b"x" * (code.LIMIT // 2), "b": b"\xff\0" * (code.LIMIT // 4)}, False),
        ({str(number): b"x" * 10_000 for number in range(91)}, True),
    ],
)
def test_more_than_a_config_map_holds_is_too_large(files: dict[str, bytes], refused: bool) -> None:
    assert code.too_large(files) is refused


@pytest.mark.parametrize("content", [b"\0", b"x", b"\xff", b'"', random.Random(1).randbytes(997), "ü".encode()])
def test_what_is_not_too_large_fits_into_one_request(content: bytes) -> None:
    files = {"a": (content * code.LIMIT)[: code.LIMIT]}

    assert not code.too_large(files)
    # The API server reads at most 3 MiB.
    assert len(json.dumps(code.config_map("c", files, LABELS))) < 3 << 20
