"""Requests: whole or not at all, in order, and nothing but requests is taken for one."""

from pathlib import Path

from axk8s.controller.requests import pending_requests, remove_request, write_request


def test_requests_come_back_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    written = [write_request(tmp_path / "requests", "stop", trial=number) for number in range(5)]

    assert pending_requests(tmp_path / "requests") == written


def test_the_parameters_of_a_trial_to_come_are_kept_as_they_are(tmp_path: Path) -> None:
    request = write_request(tmp_path, "enqueue", parameters={"lr": 1e-3, "layers": 2, "act": "relu", "bias": False})

    assert pending_requests(tmp_path) == [request]


def test_an_applied_request_is_gone_and_removing_it_twice_is_fine(tmp_path: Path) -> None:
    request = write_request(tmp_path, "pause")
    remove_request(tmp_path, request)
    remove_request(tmp_path, request)

    assert pending_requests(tmp_path) == []


def test_what_is_no_request_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"verb": "explode"}')
    (tmp_path / "c.json").write_text("[]")
    (tmp_path / "notes.txt").write_text("hello")

    assert pending_requests(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 4
    assert pending_requests(tmp_path / "missing") == []
