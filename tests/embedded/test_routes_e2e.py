"""Routes through the real Envoy: who answers, with what stamp, and what a bad route does to good ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.embedded import running
from tests.embedded.running import Running, backend, eventually, http_route
from turnout.embedded.gateway import envoy

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def colours(engine: Running, tmp_path_factory: pytest.TempPathFactory) -> Running:
    """Two versions that serve."""
    model = tmp_path_factory.mktemp("model")
    engine.apply(*(running.inference_service(name, model) for name in ("red", "blue")))
    engine.wait_ready("red", "blue")
    return engine


def test_a_split_is_drawn_at_random_and_stamped_with_what_was_drawn(colours: Running) -> None:
    colours.apply(http_route("split", "split.test", {"backendRefs": [backend("red", 50), backend("blue", 50)]}))
    _answers_from(colours, "split.test", {"red", "blue"})
    found = [answer.json for answer in colours.ask_each("split.test", [{}] * 200)]
    drawn = "".join(answer["version"][0] for answer in found)
    assert 60 <= drawn.count("r") <= 140
    assert "rrr" in drawn
    assert "bbb" in drawn  # a rota would never give the same one three times
    stamps = {(answer["version"], answer["headers"]["x-turnout-assigned"].split(";")[0]) for answer in found}
    assert stamps == {("red", "red"), ("blue", "blue")}


def test_weights_change_within_a_tenth_of_a_second_without_a_failed_request(colours: Running) -> None:
    def route(red: int) -> dict[str, Any]:
        return http_route("flip", "flip.test", {"backendRefs": [backend("red", red), backend("blue", 100 - red)]})

    colours.apply(route(100))
    _answers_from(colours, "flip.test", {"red"})
    with colours.load("flip.test") as load:
        for red, other in ((0, "red"), (100, "blue"), (0, "red")):
            colours.apply(route(red))
            load.wait_more(60)  # far less than a second of this load
            before = load.answers[(200, other)]
            load.wait_more(100)
            assert load.answers[(200, other)] == before
    assert load.count(200) == load.total, load.answers


def test_seats_without_requests_cost_none(colours: Running) -> None:
    """As a rollout leaves them: a newcomer takes the seat of one who rested, and a version may have two seats."""

    def route(*seats: tuple[str, int]) -> dict[str, Any]:
        return http_route("seats", "seats.test", {"backendRefs": [backend(name, weight) for name, weight in seats]})

    colours.apply(route(("blue", 0), ("red", 100)))
    _answers_from(colours, "seats.test", {"red"})
    with colours.load("seats.test") as load:
        for seats in ((("red", 0), ("red", 100)), (("blue", 20), ("red", 80)), (("blue", 100), ("red", 0))):
            colours.apply(route(*seats))
            load.wait_more(60)
        _answers_from(colours, "seats.test", {"blue"})
        colours.apply(route(("blue", 100)))
        load.wait_more(60)
    assert load.count(200) == load.total, load.answers


def test_a_policy_keeps_each_user_at_one_version_and_a_rising_share_only_moves_users_towards_it(
    colours: Running,
) -> None:
    def versions_of_users(blue: int) -> list[str]:
        backends = [backend("red", 100 - blue), backend("blue", blue)]
        colours.apply(http_route("sticky", "sticky.test", {"backendRefs": backends}))
        eventually(lambda: _accepted(colours, "sticky")["observedGeneration"] == _generation(colours, "sticky"))
        asked = [{"x-user": f"u{n}"} for n in range(100)]
        first, again = ([a.json["version"] for a in colours.ask_each("sticky.test", asked)] for _ in range(2))
        assert first == again
        return first

    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "sticky"}
    hashed = {"type": "ConsistentHash", "consistentHash": {"type": "Header", "header": {"name": "x-user"}}}
    policy = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": {"name": "sticky", "namespace": "default"},
        "spec": {"targetRefs": [target], "loadBalancer": hashed},
    }
    colours.apply(policy)
    few, many = versions_of_users(20), versions_of_users(50)
    assert 5 <= few.count("blue") <= 40 <= many.count("blue") + 10
    assert all(now == "blue" for before, now in zip(few, many, strict=True) if before == "blue")
    without_user = {answer.json["version"] for answer in colours.ask_each("sticky.test", [{}] * 40)}
    assert without_user == {"red", "blue"}
    ancestors = colours.get("backendtrafficpolicy", "sticky")["status"]["ancestors"]
    assert [entry["conditions"][0]["reason"] for entry in ancestors] == ["Accepted"]


def test_a_header_forces_a_version(colours: Running) -> None:
    forced = {
        "matches": [{"headers": [{"name": "x-turnout-version", "value": "blue"}]}],
        "backendRefs": [backend("blue")],
    }
    colours.apply(http_route("forced", "forced.test", {"backendRefs": [backend("red")]}, forced))
    _answers_from(colours, "forced.test", {"red"})
    assert colours.ask("forced.test", **{"x-turnout-version": "blue"}).json["version"] == "blue"


def test_every_request_gets_an_id_of_the_gateways_own_that_the_access_log_knows(colours: Running) -> None:
    answer = colours.ask("red-default.localhost", **{"x-request-id": "mine"}).json
    given = answer["headers"]["x-request-id"]
    assert given != "mine"
    line = eventually(lambda: _logged(colours, given))
    assert (line["code"], line["cluster"], line["host"]) == (200, "default/red-predictor/80", "red-default.localhost")
    assert set(line) == set(envoy.ACCESS_LOG_FORMAT)
    assert 0 < line["duration_us"] < 1000 * (line["duration_ms"] + 1)


def test_the_access_log_shows_the_stamp_also_of_requests_that_nobody_answered(colours: Running, tmp_path: Path) -> None:
    colours.apply(running.inference_service("none", tmp_path, replicas=0))
    colours.apply(http_route("empty", "empty.test", {"backendRefs": [backend("none")]}))
    eventually(lambda: colours.ask("empty.test").status == 503)
    line = eventually(lambda: next((entry for entry in _log(colours) if entry["host"] == "empty.test"), None))
    assert line
    stamped = eventually(lambda: [entry for entry in _log(colours) if entry["host"] == "empty.test" and entry["stamp"]])
    assert stamped[-1]["stamp"].startswith("none;")


def test_unknown_hosts_are_404_and_missing_backends_fail_their_share_only(colours: Running) -> None:
    assert colours.ask("nobody.test").status == 404
    colours.apply(http_route("half", "half.test", {"backendRefs": [backend("red", 1), backend("nobody", 1)]}))
    eventually(lambda: colours.ask("half.test").status == 200)
    counted = Counter(colours.ask("half.test").status for _ in range(60))
    assert set(counted) == {200, 500}


def test_a_route_that_envoy_refuses_is_told_so_and_leaves_the_others_alone(colours: Running) -> None:
    bad = {"path": {"type": "RegularExpression", "value": "^/(?=x)"}}
    with colours.load("red-default.localhost") as load:
        colours.apply(http_route("bad", "bad.test", {"matches": [bad], "backendRefs": [backend("red")]}))
        eventually(lambda: _accepted(colours, "bad")["status"] == "False")
        colours.apply(http_route("good", "good.test", {"backendRefs": [backend("blue")]}))
        _answers_from(colours, "good.test", {"blue"})
    assert load.count(200) == load.total, load.answers
    assert "invalid perl operator" in _accepted(colours, "bad")["message"]
    colours.apply(http_route("bad", "bad.test", {"backendRefs": [backend("red")]}))
    _answers_from(colours, "bad.test", {"red"})
    assert _accepted(colours, "bad")["status"] == "True"


def test_a_deleted_route_is_404_at_once(colours: Running) -> None:
    colours.apply(http_route("short", "short.test", {"backendRefs": [backend("red")]}))
    _answers_from(colours, "short.test", {"red"})
    colours.kubectl("delete", "httproute", "short")
    eventually(lambda: colours.ask("short.test").status == 404, within_s=1.0)


def test_a_copy_of_each_request_goes_to_a_mirror_with_the_answering_versions_stamp(
    colours: Running, tmp_path: Path
) -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "blue-predictor", "port": 80}}}
    colours.apply(http_route("mirror", "mirror.test", {"filters": [mirror], "backendRefs": [backend("red")]}))
    _answers_from(colours, "mirror.test", {"red"})

    def copies() -> list[dict[str, Any]]:
        seen = colours.ask("blue-default.localhost", "/seen").json["seen"]
        return [request for request in seen if request["headers"]["host"] == "mirror.test"]

    assert eventually(copies)[-1]["headers"]["x-turnout-assigned"].startswith("red;")


def _answers_from(engine: Running, host: str, versions: set[str]) -> None:
    """Wait until the host answers, and see that only these versions do."""
    eventually(lambda: engine.ask(host).status == 200)
    found = {engine.ask(host).json["version"] for _ in range(8 * len(versions))}
    assert found <= versions


def _accepted(engine: Running, name: str) -> dict[str, Any]:
    parents = engine.get("httproute", name).get("status", {}).get("parents", [])
    entries = [entry for parent in parents for entry in parent["conditions"] if entry["type"] == "Accepted"]
    return entries[0] if entries else {"status": "", "message": "", "observedGeneration": 0}


def _generation(engine: Running, name: str) -> int:
    return int(engine.get("httproute", name)["metadata"]["generation"])


def _log(engine: Running) -> list[dict[str, Any]]:
    lines = (engine.home / "envoy" / "access.log").read_text().splitlines()
    return [json.loads(line) for line in lines]


def _logged(engine: Running, request_id: str) -> dict[str, Any] | None:
    return next((entry for entry in _log(engine) if entry["request_id"] == request_id), None)
