"""What builds images: the shell scripts of images/, against stand-ins, and what their Dockerfiles promise."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.cluster.conftest import StandIns

IMAGES = Path(__file__).parents[2] / "images"
DIGEST = f"sha256:{'ab' * 32}"
OURS = ("control", "pipeline", "predictor", "sklearn-predictor")


def pin(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([IMAGES / "pin.sh", *words], capture_output=True, text=True, check=False)


def test_a_base_is_pinned_to_what_its_tag_is_now(stand_ins: StandIns) -> None:
    stand_ins.answers["imagetools inspect"] = DIGEST
    stand_ins.ready()
    assert pin().stdout == f"python:3.11-slim@{DIGEST}\n"
    assert pin("registry.example.com/python:3.11").stdout == f"registry.example.com/python:3.11@{DIGEST}\n"
    assert stand_ins.calls("imagetools inspect python:3.11-slim")


@pytest.mark.parametrize("answer", ["", "no such manifest"])
def test_a_registry_that_gives_no_digest_pins_nothing(stand_ins: StandIns, answer: str) -> None:
    stand_ins.answers["imagetools inspect"] = answer
    stand_ins.ready()
    done = pin()
    assert (done.returncode, done.stdout) == (1, "")
    assert f"found '{answer}'" in done.stderr


@pytest.mark.parametrize("name", OURS)
def test_an_image_of_ours_has_a_budget_and_a_user_who_is_nobody(name: str) -> None:
    text = (IMAGES / name / "Dockerfile").read_text()
    (budget,) = re.findall(r"^RUN images/install\.sh [a-z,]+ (\d+)$", text, re.MULTILINE)
    assert name != "predictor" or int(budget) <= 150
    assert "\nUSER 10001:10001\n" in text
    assert text.count("FROM ${BASE}") == 2


def test_the_builder_gives_labels_of_source_and_revision(stand_ins: StandIns) -> None:
    stand_ins.ready()
    done = subprocess.run([IMAGES / "build.sh", "predictor"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (call,) = stand_ins.calls("docker build")
    for part in ("--label org.opencontainers.image.source=", ".revision=", ".version=", ".title=turnout predictor"):
        assert part in call
    assert "--file images/predictor/Dockerfile" in call
