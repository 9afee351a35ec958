from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

from turnout.embedded import api

MODULES = sorted(
    [f"turnout.embedded.api.{module.name}" for module in pkgutil.iter_modules(api.__path__)]
    + [
        f"turnout.embedded.{name}"
        for name in ("columns", "crds", "garbage", "jsonpath", "kinds", "objects", "sql", "store")
    ]
)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exports_what_it_defines(name: str) -> None:
    module = importlib.import_module(name)
    defined = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == name
    }
    assert defined <= set(module.__all__)
    assert all(hasattr(module, key) for key in module.__all__)
    assert module.__all__ == sorted(module.__all__, key=lambda key: (not key.isupper(), not key[0].isupper(), key))
