"""Every object that we render, against the schemas of a real API server."""

from __future__ import annotations

import copy

import pytest
import yaml

from tests.manifests import schemas
from tests.manifests.rendering import EVERYTHING, OVERLAYS, ROOT, named, objects


@pytest.mark.parametrize("overlay", [*OVERLAYS, EVERYTHING])
def test_a_real_api_server_would_take_every_object(overlay: str) -> None:
    # A CustomResourceDefinition has tests of its own; PyYAML reads its 1e-06 as text.
    chosen = [obj for obj in objects(overlay) if obj["kind"] != "CustomResourceDefinition"]
    found = {f"{obj['kind']} {obj['metadata']['name']}": schemas.problems(obj) for obj in chosen}
    assert {name: said for name, said in found.items() if said} == {}


@pytest.mark.parametrize("sample", sorted((ROOT / "kserve" / "samples").rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_real_api_server_would_take_every_sample(sample: object) -> None:
    for obj in yaml.safe_load_all(sample.read_text()):  # type: ignore[attr-defined]
        assert schemas.problems(obj) == []


def test_the_schemas_find_mistakes() -> None:
    wrong = copy.deepcopy(named("node", "Deployment", "turnout-ledger"))
    wrong["spec"]["template"]["spec"]["contaners"] = []
    wrong["spec"]["replicas"] = "two"
    said = " ".join(schemas.problems(wrong))
    assert "contaners" in said
    assert '"two" is not of type "integer"' in said
