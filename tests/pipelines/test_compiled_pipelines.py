"""The committed YAML is what the code compiles to, and it runs on a laptop and on a cluster alike."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._image import IMAGE
from pipelines import compile as compiling

ROOT = Path(compiling.__file__).parents[1]
COMPONENTS = sorted(path for path in (ROOT / "components").glob("*.py") if not path.name.startswith("_"))


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    return _read("training")


def _read(name: str) -> dict[str, Any]:
    # The second document, if there is one, is for Kubernetes alone.
    found: dict[str, Any] = next(iter(yaml.safe_load_all((compiling.FOLDER / f"{name}.yaml").read_text())))
    return found


def test_the_committed_files_are_what_the_code_compiles_to(tmp_path: Path) -> None:
    compiling.compile_all(tmp_path)
    for name in compiling.PIPELINES:
        assert (tmp_path / f"{name}.yaml").read_text() == (compiling.FOLDER / f"{name}.yaml").read_text(), (
            "run `python -m pipelines.compile`, read the difference, and commit it"
        )


def test_a_reproduction_has_no_effects() -> None:
    deployed = _read("reproduction")["deploymentSpec"]["executors"]
    assert set(deployed) == {"exec-restore", "exec-featurize", "exec-train"}


def test_training_and_reproduction_train_alike() -> None:
    trained = [_read(name)["deploymentSpec"]["executors"]["exec-train"] for name in compiling.PIPELINES]
    assert trained[0] == trained[1]


def test_the_pipeline_takes_what_the_command_line_gives(committed: dict[str, Any]) -> None:
    assert set(committed["root"]["inputDefinitions"]["parameters"]) == {"spec", "namespace", "commit", "run"}


@pytest.mark.parametrize("name", compiling.PIPELINES)
def test_every_step_runs_the_one_image_under_a_fixed_tag_and_installs_nothing(name: str) -> None:
    executors = _read(name)["deploymentSpec"]["executors"]
    assert {executor["container"]["image"] for executor in executors.values()} == {IMAGE}
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+", IMAGE)
    assert "pip install" not in str(executors)


def test_only_what_its_parameters_decide_is_taken_from_a_cache(committed: dict[str, Any]) -> None:
    dags = [committed["root"]["dag"], *(c["dag"] for c in committed["components"].values() if "dag" in c)]
    tasks = {name: task for dag in dags for name, task in dag["tasks"].items()}
    executed = {name: task for name, task in tasks.items() if not name.startswith(("condition-", "for-loop-"))}
    assert set(executed) == {"ingest", "featurize", "train", "evaluate", "register", "deploy"}
    cached = {name for name, task in executed.items() if task["cachingOptions"] == {"enableCache": True}}
    assert cached == {"featurize", "train"}
    assert all(executed[name]["cachingOptions"] == {} for name in set(executed) - cached)
    given = executed["featurize"]["inputs"]
    assert set(given) == {"parameters"}
    assert set(given["parameters"]) == {"spec", "snapshot", "store", "code"}
    assert given["parameters"]["spec"]["taskOutputParameter"]["outputParameterKey"] == "plan"


def test_what_has_effects_is_behind_the_gate(committed: dict[str, Any]) -> None:
    root = committed["root"]["dag"]["tasks"]
    gate = next(task for name, task in root.items() if name.startswith("condition-"))
    assert gate["triggerPolicy"]["condition"] == "inputs.parameter_values['pipelinechannel--evaluate-Output'] == true"
    behind = committed["components"][gate["componentRef"]["name"]]["dag"]["tasks"]
    assert set(behind) == {"register", "deploy"}
    assert not {"register", "deploy"} & set(root)


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.stem)
def test_a_component_ships_with_all_that_it_needs(path: Path) -> None:
    """KFP sends the function's source only: imports belong inside, and only from the image."""
    tree = ast.parse(path.read_text())
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert function.name == path.stem
    assert "annotations" not in path.read_text(), "KFP reads raw annotations"
    outside = {_module(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    assert outside <= {"kfp", "typing", "components"}
    inside = {_module(node) for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)}
    assert inside <= {"pathlib", "tempfile", "turnout"}


def _module(node: ast.Import | ast.ImportFrom) -> str:
    name = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
    return (name or "").split(".")[0]


@pytest.mark.parametrize("pipeline", compiling.PIPELINES)
def test_every_input_and_output_of_a_component_is_described(pipeline: str) -> None:
    for name, component in _read(pipeline)["components"].items():
        if "dag" in component:
            continue
        for side in ("inputDefinitions", "outputDefinitions"):
            for kind in component.get(side, {}).values():
                for item, definition in kind.items():
                    assert definition.get("description"), f"{name}: {item} has no description"


def test_every_step_is_told_addresses_and_keys_by_the_cluster(committed: dict[str, Any]) -> None:
    _, platform = yaml.safe_load_all((compiling.FOLDER / "training.yaml").read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == committed["deploymentSpec"]["executors"].keys()
    for executor in executors.values():
        assert [given["configMapName"] for given in executor["configMapAsEnv"]] == ["turnout-inside"]
        assert [given["secretName"] for given in executor["secretAsEnv"]] == ["turnout-s3"]
