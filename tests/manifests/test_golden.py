"""What an overlay renders to is a file, reviewed like code; `python -m tests.manifests.test_golden` writes it."""

from __future__ import annotations

import pytest

from tests.manifests.rendering import OVERLAYS, ROOT, text

GOLDEN = ROOT / "tests" / "golden" / "overlays"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_renders_to_its_golden_file(overlay: str) -> None:
    assert text(overlay) == (GOLDEN / f"{overlay}.yaml").read_text(encoding="utf-8")


def test_every_golden_file_has_its_overlay() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.yaml")) == list(OVERLAYS)


if __name__ == "__main__":
    for overlay in OVERLAYS:
        (GOLDEN / f"{overlay}.yaml").write_text(text(overlay), encoding="utf-8")
