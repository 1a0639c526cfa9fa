"""What load counts, and what it refuses to send."""

from __future__ import annotations

import json

import pytest

from simulate.lab.errors import LabError
from simulate.lab.load.records import Request, Tally, parse
from simulate.lab.load.vegeta import Profile, client_address, require_own_address
from simulate.lab.load.websockets import WebSocketCounts

RESULT = {
    "attack": "",
    "seq": 7,
    "code": 200,
    "timestamp": "2026-11-24T22:31:21.557204123Z",
    "latency": 12_500_000,
    "error": "",
    "headers": {"X-Simple378-Colour": ["green"], "X-Simple378-Version": ["2.0.0"]},
}


def test_a_result_of_vegeta() -> None:
    request = parse(json.dumps(RESULT))
    assert request == Request(request.at, 0.0125, 200, "", "green", "2.0.0")
    assert abs(request.at - 1_795_559_481.557204) < 1e-3
    assert json.loads(request.line())["colour"] == "green"


@pytest.mark.parametrize(
    ("code", "error", "failed", "limited"),
    [
        (200, "", False, False),
        (302, "", False, False),
        (403, "403 Forbidden", True, False),
        (404, "404 Not Found", True, False),
        (429, "429 Too Many Requests", False, True),
        (500, "500 Internal Server Error", True, False),
        (503, "", True, False),
        (0, "connection refused", True, False),
    ],
)
def test_what_failed_as_a_client_counts(code: int, error: str, *, failed: bool, limited: bool) -> None:
    request = parse(json.dumps({**RESULT, "code": code, "error": error, "headers": None}))
    assert (request.failed, request.rate_limited) == (failed, limited)
    assert request.error == (error if code == 0 else "")


def test_the_tally_by_time_and_colour() -> None:
    tally = Tally()
    for at, status, colour in ((10.2, 200, "blue"), (10.9, 500, "green"), (11.0, 0, ""), (12.5, 429, "")):
        tally.add(Request(at, 0.01, status, "refused" if status == 0 else "", colour, ""))
    assert (tally.total, tally.failed, tally.rate_limited) == (4, 2, 1)
    window = tally.between(10, 11)
    assert (window.total, window.failed, window.by_colour["blue"]) == (2, 1, 1)
    assert window.failed_by_colour == {"green": 1}
    assert tally.summary()["statuses"] == {"0": 1, "200": 1, "429": 1, "500": 1}
    assert tally.summary()["errors"] == {"refused": 1}


def test_clients_take_turns_and_are_reproducible() -> None:
    profile = Profile("http://127.0.0.1", 10, 1, clients=50)
    lines = [json.loads(line) for line in profile.targets().splitlines()]
    assert profile.targets() == Profile("http://127.0.0.1", 10, 1, clients=50).targets()
    first = {line["header"]["X-Lab-Client"][0] for line in lines[:50]}
    assert first == {client_address(n) for n in range(50)}, "each client once before anybody twice"
    assert len({line["url"] for line in lines}) > 10


@pytest.mark.parametrize(
    "profile",
    [
        Profile("http://127.0.0.1", 0, 1),
        Profile("http://127.0.0.1", 100_000, 1),
        Profile("http://127.0.0.1", 10, 0),
        Profile("http://127.0.0.1", 10, 1e6),
        Profile("http://127.0.0.1", 10, 1, clients=0),
    ],
)
def test_a_profile_out_of_range_is_bad_input(profile: Profile) -> None:
    with pytest.raises(LabError) as error:
        profile.check()
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/", "http://198.51.100.7:80", "http://nobody.invalid/", "nonsense"]
)
def test_load_leaves_for_no_other_machine(url: str) -> None:
    with pytest.raises(LabError):
        require_own_address(url)
    require_own_address("http://127.0.0.1:1/x")


def test_the_sums_of_websockets_are_json() -> None:
    counts = WebSocketCounts(opened=2)
    counts.by_colour["blue"] += 2
    assert json.loads(json.dumps(counts.summary())) == {
        "opened": 2, "dropped": 0, "closed": 0, "refused": 0, "by_colour": {"blue": 2},
    }  # fmt: skip
