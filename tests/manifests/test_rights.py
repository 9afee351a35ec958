"""Least privilege: each rule bound to one of our ServiceAccounts has its reason here, and no rule is without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.manifests.rendering import OVERLAYS, of_kind

# (role, group, resource, verb): the module that needs it.
REASONS = {
    ("turnout-controller", "turnout.dev", "turnouts", "list"): "controller.__main__.look: every round",
    ("turnout-controller", "turnout.dev", "turnouts", "patch"): "controller.reconciling: takes an obeyed order off",
    ("turnout-controller", "turnout.dev", "turnouts/status", "patch"): "controller.reporting",
    ("turnout-controller", "turnout.dev", "turnouts/finalizers", "update"): (
        "kube.httproutes.owner: blockOwnerDeletion, where OwnerReferencesPermissionEnforcement is on (OpenShift)"
    ),
    ("turnout-controller", "serving.kserve.io", "inferenceservices", "list"): "controller.__main__.look",
    ("turnout-controller", "serving.kserve.io", "inferenceservices", "patch"): "controller.guarding: finalizers",
    ("turnout-controller", "serving.kserve.io", "inferenceservices", "delete"): "controller.acting: retired versions",
    ("turnout-controller", "gateway.networking.k8s.io", "httproutes", "list"): "controller.__main__.look",
    ("turnout-controller", "gateway.networking.k8s.io", "httproutes", "create"): "controller.acting: the first route",
    ("turnout-controller", "gateway.networking.k8s.io", "httproutes", "patch"): "controller.acting: weights",
    ("turnout-controller", "gateway.networking.k8s.io", "httproutes", "delete"): "controller.probing: its own route",
    ("turnout-controller", "gateway.envoyproxy.io", "backendtrafficpolicies", "list"): "controller.__main__.look",
    ("turnout-controller", "gateway.envoyproxy.io", "backendtrafficpolicies", "create"): "controller.probing: apply",
    ("turnout-controller", "gateway.envoyproxy.io", "backendtrafficpolicies", "patch"): "controller.probing: apply",
    ("turnout-controller", "gateway.envoyproxy.io", "backendtrafficpolicies", "delete"): "controller.probing",
    ("turnout-controller", "", "events", "create"): "controller.telling",
    ("turnout-controller", "", "configmaps", "get"): "kube.discovery",
    ("turnout-controller", "coordination.k8s.io", "leases", "get"): "controller.leasing",
    ("turnout-controller", "coordination.k8s.io", "leases", "patch"): "controller.leasing",
    ("turnout-controller", "coordination.k8s.io", "leases", "create"): "controller.leasing: the first leader",
    ("turnout-ledger", "authentication.k8s.io", "tokenreviews", "create"): "ledger.api.accounts",
}
# Of the steps of pipelines on Kubeflow Pipelines, whose ServiceAccount is not ours.
PIPELINES = {
    ("turnout-pipelines", "serving.kserve.io", "inferenceservices", "get"): "steps.deploy, steps.evaluate_champion",
    ("turnout-pipelines", "serving.kserve.io", "inferenceservices", "create"): "steps.deploy: apply",
    ("turnout-pipelines", "serving.kserve.io", "inferenceservices", "patch"): "steps.deploy: apply",
    ("turnout-pipelines", "turnout.dev", "turnouts", "get"): "steps.deploy, steps.evaluate_champion",
    ("turnout-pipelines", "turnout.dev", "turnouts", "create"): "steps.deploy: the first version",
    ("turnout-pipelines", "turnout.dev", "turnouts", "patch"): "steps.deploy: names the challenger",
    ("turnout-pipelines", "", "configmaps", "get"): "kube.discovery",
    ("turnout-pipelines", "", "secrets", "get"): "kube.discovery: the ledger's token",
}


def reasons(overlay: str) -> set[tuple[str, str, str, str]]:
    return set(REASONS) | (set(PIPELINES) if overlay.endswith("-kfp") else set())


def rules(overlay: str) -> Iterator[tuple[str, str, str, str]]:
    for role in of_kind(overlay, "Role", "ClusterRole"):
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        yield role["metadata"]["name"], group, resource, verb


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_right_has_a_reason_and_every_reason_its_right(overlay: str) -> None:
    assert set(rules(overlay)) == reasons(overlay)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_rule_has_a_wildcard(overlay: str) -> None:
    assert not [rule for rule in rules(overlay) if "*" in rule]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_roles_are_bound_to_our_accounts_only(overlay: str) -> None:
    accounts = {obj["metadata"]["name"] for obj in of_kind(overlay, "ServiceAccount")} | {"pipeline-runner"}
    for binding in of_kind(overlay, "RoleBinding", "ClusterRoleBinding"):
        assert {subject["name"] for subject in binding["subjects"]} <= accounts


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_who_speaks_to_the_api_server_has_a_token_for_it(overlay: str) -> None:
    bound = {
        subject["name"]
        for binding in of_kind(overlay, "RoleBinding", "ClusterRoleBinding")
        for subject in binding["subjects"]
    }
    for workload in of_kind(overlay, "Deployment", "StatefulSet"):
        spec = workload["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is (spec["serviceAccountName"] in bound), workload["metadata"]
