"""What must hold of every object that an overlay renders, said as tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.manifests.rendering import OVERLAYS, ROOT, SYSTEM, Object, objects, of_kind, pods

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)

MADE_BY_DEPLOY = {"turnout-ledger", "turnout-database", "turnout-s3", "turnout-postgres"}
VERSION = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]  # type: ignore[index]


def containers(overlay: str) -> Iterator[tuple[str, Object, Object]]:
    for name, _, spec in pods(overlay):
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            yield f"{name}/{container['name']}", container, spec


def test_every_image_has_a_tag_and_none_is_latest(overlay: str) -> None:
    for name, container, _ in containers(overlay):
        _, _, tag = container["image"].rpartition("/")[2].partition(":")
        assert tag not in ("", "latest"), f"{name}: {container['image']}"


def test_our_images_are_of_this_version(overlay: str) -> None:
    for name, container, _ in containers(overlay):
        if "turnout" in container["image"]:
            assert container["image"].endswith(f":{VERSION}"), f"{name}: {container['image']}"


def test_nothing_runs_as_root_or_may_become_it(overlay: str) -> None:
    for name, container, spec in containers(overlay):
        context = {**spec["securityContext"], **container["securityContext"]}
        assert context["runAsNonRoot"] is True, name
        assert context.get("runAsUser", 1) != 0, name
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name


def test_every_container_says_what_it_needs_and_what_it_may_take(overlay: str) -> None:
    for name, container, _ in containers(overlay):
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys(), name
        assert {"cpu", "memory"} <= resources["limits"].keys(), name


def test_every_workload_of_ours_is_asked_whether_it_started_is_ready_and_lives(overlay: str) -> None:
    for workload in of_kind(overlay, "Deployment", "StatefulSet"):
        for container in workload["spec"]["template"]["spec"]["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys(), workload["metadata"]["name"]


def test_volumes_are_of_the_kinds_that_restricted_namespaces_take(overlay: str) -> None:
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    for name, _, spec in pods(overlay):
        for volume in spec.get("volumes", []):
            assert volume.keys() - {"name"} <= allowed, f"{name}: {volume}"


def test_what_a_container_mounts_is_a_volume_of_its_pod(overlay: str) -> None:
    for name, container, spec in containers(overlay):
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        workloads = of_kind(overlay, "StatefulSet")
        volumes |= {claim["metadata"]["name"] for obj in workloads for claim in obj["spec"]["volumeClaimTemplates"]}
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes, name


def test_every_service_selects_the_pods_of_one_workload(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        chosen = [spec for _, labels, spec in pods(overlay) if service["spec"]["selector"].items() <= labels.items()]
        assert len(chosen) == 1, service["metadata"]["name"]
        ports = {port["name"]: port for container in chosen[0]["containers"] for port in container.get("ports", [])}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports, service["metadata"]["name"]


def test_every_budget_protects_one_workload(overlay: str) -> None:
    for budget in of_kind(overlay, "PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        assert len([name for name, labels, _ in pods(overlay) if wanted <= labels.items()]) == 1


def references(value: Any) -> Iterator[tuple[str, str]]:
    """ConfigMaps and Secrets that something in a Pod spec names."""
    kinds = {
        "secretKeyRef": "Secret",
        "secretRef": "Secret",
        "configMapKeyRef": "ConfigMap",
        "configMapRef": "ConfigMap",
    }
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in kinds:
                yield kinds[key], inner["name"]
            if key == "secret" and "secretName" in inner:
                yield "Secret", inner["secretName"]
            if key == "configMap" and "name" in inner:
                yield "ConfigMap", inner["name"]
            yield from references(inner)
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_configmap_and_secret_that_is_used_is_made(overlay: str) -> None:
    there = {("ConfigMap", obj["metadata"]["name"]) for obj in of_kind(overlay, "ConfigMap")}
    there |= {("Secret", name) for name in MADE_BY_DEPLOY}
    for name, _, spec in pods(overlay):
        assert set(references(spec)) <= there, name


def test_no_secret_is_in_the_manifests(overlay: str) -> None:
    assert not of_kind(overlay, "Secret")
    assert not re.search(r"(?i)minio123|password: \w", str(objects(overlay)))


def test_our_namespace_enforces_restricted_pods(overlay: str) -> None:
    namespaces = {obj["metadata"]["name"]: obj["metadata"] for obj in of_kind(overlay, "Namespace")}
    assert namespaces[SYSTEM]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_workload_has_a_service_account_of_its_own(overlay: str) -> None:
    accounts = [spec["serviceAccountName"] for _, _, spec in pods(overlay) if "serviceAccountName" in spec]
    assert len(accounts) == len(set(accounts)) == len(of_kind(overlay, "Deployment", "StatefulSet"))
    assert set(accounts) == {obj["metadata"]["name"] for obj in of_kind(overlay, "ServiceAccount")}


def test_steps_of_pipelines_are_told_what_our_own_pods_are_told(overlay: str) -> None:
    told = [obj["data"] for obj in of_kind(overlay, "ConfigMap") if obj["metadata"]["name"] == "turnout-inside"]
    assert all(data == told[0] for data in told)
