"""KServe's choice of a runtime, its templates, and where a model may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from turnout.embedded.serving import runtimes, storage, templates
from turnout.embedded.serving.runtimes import Choice, Refusal
from turnout.errors import InputError, SpecError

Object = dict[str, Any]
METADATA = {
    "name": "fig",
    "namespace": "default",
    "labels": {"team": "fruit"},
    "annotations": {"note": "hello", "turnout.dev/digest": "sha256:ab", "evil": "a b; rm -rf /"},
}


def runtime(name: str, *, kind: str = "ServingRuntime", created: str = "", **more: Any) -> Object:
    entry = {"name": "onnx", "version": "1", "autoSelect": True, "priority": 1}
    spec = {"supportedModelFormats": [{**entry, **more.pop("format", {})}], "protocolVersions": ["v1", "v2"], **more}
    return {"kind": kind, "metadata": {"name": name, "creationTimestamp": created}, "spec": spec}


def chosen(model: Object, *, namespaced: list[Object] | None = None, cluster: list[Object] | None = None) -> str:
    found = runtimes.choose(
        {"modelFormat": {"name": "onnx"}, **model}, namespaced=namespaced or [], cluster=cluster or []
    )
    return found.name if isinstance(found, Choice) else f"{found.reason}: {found.message}"


NOTHING = "NoSupportingRuntime: No runtime found to support specified framework/version"


def test_a_runtime_of_the_namespace_beats_one_of_the_cluster_whatever_their_priorities() -> None:
    near, wide = runtime("near"), runtime("wide", kind="ClusterServingRuntime", format={"priority": 9})
    assert chosen({}, namespaced=[near], cluster=[wide]) == "near"
    assert chosen({}, cluster=[wide]) == "wide"


def test_the_highest_priority_wins_and_then_the_newest() -> None:
    low, high = runtime("low"), runtime("high", format={"priority": 5})
    assert chosen({}, namespaced=[low, high]) == "high"
    old, new = runtime("a", created="2026-01-01T00:00:00Z"), runtime("b", created="2026-01-02T00:00:00Z")
    assert chosen({}, namespaced=[old, new]) == "b"


def test_without_auto_select_a_runtime_must_be_named() -> None:
    shy = runtime("shy", format={"autoSelect": False})
    assert chosen({}, namespaced=[shy]) == NOTHING
    assert chosen({"runtime": "shy"}, namespaced=[shy]) == "shy"


def test_a_stated_version_and_protocol_must_be_supported() -> None:
    found = [runtime("one")]
    assert chosen({"modelFormat": {"name": "onnx", "version": "2"}}, namespaced=found) == NOTHING
    assert chosen({"protocolVersion": "grpc-v2"}, namespaced=found) == NOTHING
    assert chosen({"protocolVersion": "v2"}, namespaced=found) == "one"


def test_disabled_and_multi_model_runtimes_are_not_chosen() -> None:
    assert chosen({}, namespaced=[runtime("off", disabled=True), runtime("many", multiModel=True)]) == NOTHING


@pytest.mark.parametrize(
    ("model", "refusal"),
    [
        ({"runtime": "later"}, "RuntimeNotRecognized: Waiting for runtime to become available"),
        ({"runtime": "off"}, "RuntimeNotRecognized: Waiting for runtime to become available"),
        (
            {"runtime": "one", "modelFormat": {"name": "pmml"}},
            "NoSupportingRuntime: Specified runtime does not support specified framework/version",
        ),
        (
            {"runtime": "one", "protocolVersion": "grpc-v2"},
            "NoSupportingRuntime: Specified runtime does not support specified protocol version",
        ),
    ],
)
def test_a_named_runtime_that_cannot_serve_says_why(model: Object, refusal: str) -> None:
    assert chosen(model, namespaced=[runtime("one"), runtime("off", disabled=True)]) == refusal


def test_a_refusal_is_no_choice() -> None:
    assert isinstance(runtimes.choose({}, namespaced=[], cluster=[]), Refusal)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("--n={{.Name}}.{{ .Namespace }}", "--n=fig.default"),
        ("{{.Labels.team}}/{{.Annotations.note}}", "fruit/hello"),
        ('{{index .Annotations "turnout.dev/digest"}}', "sha256:ab"),
        ("{{.Labels.none}}{{index .Annotations `none`}}", ""),
        ("{{if .Labels.team}}yes{{else}}no{{end}}", "yes"),
        ("{{if .Labels.none}}yes{{else}}no{{end}}", "no"),
        ("{{if .Labels.none}}{{if .Name}}a{{else}}b{{end}}{{end}}c", "c"),
        ("{{- .Name -}}", "fig"),
        ("{{.Labels}}", "map[team:fruit]"),
        ("nothing to do", "nothing to do"),
    ],
)
def test_templates_see_the_metadata_as_go_does(text: str, rendered: str) -> None:
    assert templates.render(text, templates.fields_of(METADATA)) == rendered


@pytest.mark.parametrize(
    "text", ["{{.Nope}}", "{{.Name.first}}", "{{range .Labels}}", "{{if .Name}}open", "{{end}}", "{{else}}", "{{.Name"]
)
def test_templates_that_go_would_refuse_are_refused(text: str) -> None:
    with pytest.raises(SpecError):
        templates.render(text, templates.fields_of(METADATA))


def test_texts_inside_lists_and_mappings_are_rendered_and_the_rest_is_left() -> None:
    value = {"args": ["{{.Name}}", 1], "env": [{"name": "N", "value": "{{.Namespace}}"}], "flag": True}
    assert templates.render_all(value, templates.fields_of(METADATA)) == {
        "args": ["fig", 1],
        "env": [{"name": "N", "value": "default"}],
        "flag": True,
    }


def test_a_command_is_split_before_it_is_rendered_so_that_no_value_adds_words() -> None:
    fields = templates.fields_of(METADATA, Port="8081", ModelDir="/m o/d")
    command = "python -m x --port={{.Port}} --dir={{.ModelDir}} 'two words' --digest={{index .Annotations \"evil\"}}"
    assert templates.command_words(command, fields) == (
        *("python", "-m", "x", "--port=8081", "--dir=/m o/d", "two words", "--digest=a b; rm -rf /"),
    )


def test_a_command_with_an_open_quote_is_refused() -> None:
    with pytest.raises(SpecError, match="No closing quotation"):
        templates.command_words("sh -c 'exit", {})


def test_models_are_found_by_file_by_volume_and_in_our_own_bucket(tmp_path: Path) -> None:
    places = storage.Places(volumes=tmp_path / "volumes", artifacts=tmp_path / "artifacts")
    assert storage.locate(f"file://{tmp_path}/a%20b", places) == tmp_path / "a b"
    assert storage.locate("pvc://samples/iris", places) == tmp_path / "volumes" / "samples" / "iris"
    assert storage.locate("s3://turnout/models/digits", places) == tmp_path / "artifacts" / "models" / "digits"
    assert storage.is_own("s3://turnout/x")
    assert not storage.is_own("s3://turnouts/x")


@pytest.mark.parametrize(
    "uri",
    ["pvc://../secrets", "s3://turnout/../token", "file://relative/path", "s3://bucket/x", "no-scheme"],
)
def test_places_that_are_no_places_are_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        storage.locate(uri, storage.Places(volumes=tmp_path / "volumes", artifacts=tmp_path / "artifacts"))
