"""kubectl, as people use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conformance.conftest import require
from tests.conformance.kinds import BY_KIND
from tests.conformance.server import Server, eventually

pytestmark = pytest.mark.e2e

EDITOR = """
import pathlib, sys
path = pathlib.Path(sys.argv[1])
path.write_text(path.read_text().replace('k: "1"', 'k: "9"'))
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '1'}\n"


def test_apply_says_created_unchanged_and_configured(server: Server, ns: str) -> None:
    apply = ("apply", "-n", ns, "-f", "-")
    assert server.kubectl(*apply, given=MAP) == "configmap/a created\n"
    assert server.kubectl(*apply, given=MAP) == "configmap/a unchanged\n"
    assert server.kubectl(*apply, given=MAP.replace("'1'", "'2'")) == "configmap/a configured\n"


def test_apply_on_the_server_reports_conflicts(server: Server, ns: str) -> None:
    apply = ("apply", "--server-side", "-n", ns, "-f", "-")
    server.kubectl(*apply, "--field-manager=one", given=MAP)
    said = server.kubectl(*apply, "--field-manager=two", given=MAP.replace("'1'", "'2'"), check=False)
    assert 'conflict with "one": .data.k' in said
    forced = server.kubectl(*apply, "--field-manager=two", "--force-conflicts", given=MAP.replace("'1'", "'2'"))
    assert forced == "configmap/a serverside-applied\n"


def test_diff_shows_what_would_change(server: Server, ns: str) -> None:
    server.kubectl("apply", "-n", ns, "-f", "-", given=MAP)
    said = server.kubectl("diff", "-n", ns, "-f", "-", given=MAP.replace("'1'", "'2'"), check=False)
    assert '-  k: "1"' in said
    assert '+  k: "2"' in said


def test_edit_writes_back_what_the_editor_leaves(server: Server, ns: str, tmp_path: Path) -> None:
    server.kubectl("apply", "-n", ns, "-f", "-", given=MAP)
    editor = tmp_path / "editor"
    editor.write_text(f"#!{sys.executable}\n{EDITOR}")
    editor.chmod(0o755)
    assert "configmap/a edited" in server.kubectl("edit", "cm/a", "-n", ns, KUBE_EDITOR=str(editor))
    assert server.kubectl("get", "cm/a", "-n", ns, "-o", "jsonpath={.data.k}") == "9"


def test_explain_knows_the_fields(server: Server, routes: str) -> None:
    said = server.kubectl("explain", "httproute.spec.rules.backendRefs.weight")
    assert "FIELD: weight <integer>" in said


def test_a_misspelt_field_is_refused(server: Server, ns: str) -> None:
    said = server.kubectl("apply", "-n", ns, "-f", "-", given=MAP.replace("\ndata:", "\ndaat:"), check=False)
    assert 'unknown field "daat"' in said


def test_wait_sees_a_deletion(server: Server, ns: str) -> None:
    server.kubectl("apply", "-n", ns, "-f", "-", given=MAP)
    waiting = subprocess.Popen(
        ["kubectl", "--kubeconfig", str(server.kubeconfig), "wait", "--for=delete", "cm/a", "-n", ns, "--timeout=30s"]
    )
    server.kubectl("delete", "cm/a", "-n", ns)
    assert waiting.wait(timeout=40) == 0


def test_wait_sees_a_condition(server: Server, ns: str) -> None:
    require(server, BY_KIND["Turnout"])
    sample = BY_KIND["Turnout"]
    server.kubectl("apply", "-n", ns, "-f", "-", given=yaml.safe_dump(sample.named("a")))
    said = server.kubectl("wait", "--for=jsonpath={.spec.challengers[0]}=a-v1", "turnout/a", "-n", ns, "--timeout=20s")
    assert "condition met" in said


def test_get_watch_prints_a_row_per_change(server: Server, ns: str) -> None:
    server.kubectl("apply", "-n", ns, "-f", "-", given=MAP)
    watching = subprocess.Popen(
        ["kubectl", "--kubeconfig", str(server.kubeconfig), "get", "cm", "a", "-n", ns, "-w", "--no-headers"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert watching.stdout.readline().split()[:2] == ["a", "1"]
    server.kubectl("patch", "cm/a", "-n", ns, "--type=merge", "-p", '{"data": {"z": "1"}}')
    assert watching.stdout.readline().split()[:2] == ["a", "2"]
    watching.terminate()
    watching.communicate(timeout=20)


def test_describe_tells_of_events(server: Server, ns: str) -> None:
    created = server.post(f"/api/v1/namespaces/{ns}/configmaps", {"metadata": {"name": "a"}}).json()
    about = {"kind": "ConfigMap", "name": "a", "namespace": ns, "uid": created["metadata"]["uid"]}
    event = {
        "metadata": {"name": "e"},
        "involvedObject": about,
        "reason": "Tested",
        "type": "Normal",
        "message": "well",
    }
    server.post(f"/api/v1/namespaces/{ns}/events", event)
    assert "Tested" in server.kubectl("describe", "cm/a", "-n", ns)


def test_labels_annotations_and_selectors(server: Server, ns: str) -> None:
    server.kubectl("create", "cm", "a", "-n", ns, "--from-literal=k=v")
    assert server.kubectl("label", "cm/a", "-n", ns, "tier=x") == "configmap/a labeled\n"
    assert server.kubectl("annotate", "cm/a", "-n", ns, "note=y") == "configmap/a annotated\n"
    assert server.kubectl("get", "cm", "-n", ns, "-l", "tier=x", "-o", "name") == "configmap/a\n"


def test_a_namespace_is_deleted_with_what_is_in_it(server: Server, ns: str) -> None:
    server.kubectl("create", "cm", "a", "-n", ns)
    server.kubectl("delete", "ns", ns, "--wait=false")
    eventually(lambda: "NotFound" in server.kubectl("get", "ns", ns, check=False))
