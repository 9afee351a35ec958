"""MLflow's aliases follow the controller's decisions: `python -m turnout.registry URI VERSION=ALIAS ...`.

A program of its own, because MLflow weighs ten times what the controller does and is needed for a second per decision.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from turnout.errors import InputError

__all__ = ["set_aliases", "split_version"]


def split_version(version: str) -> tuple[str, str]:
    """Registered model and number of a version: `digits-v4` is version 4 of `digits`.

    Raises:
        InputError: the name has no such form.
    """
    name, _, number = version.rpartition("-v")
    if not name or not number.isdigit():
        raise InputError(f"version {version!r}: a name like digits-v4 was wanted")
    return name, number


def set_aliases(uri: str, model: str, wanted: Mapping[str, str | None]) -> None:
    """Make each alias of a registered model point to a version number, or to none. Safe to repeat.

    A model or version that MLflow does not know is left alone: not every InferenceService comes from a pipeline.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    for alias, number in wanted.items():
        try:
            if number is None:
                client.delete_registered_model_alias(model, alias)
            else:
                client.set_registered_model_alias(model, alias, number)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m turnout.registry", description="Set MLflow aliases.")
    parser.add_argument("uri", help="MLflow tracking URI")
    parser.add_argument("model", help="registered model")
    parser.add_argument("alias", nargs="+", help="alias=number, or alias= to remove it")
    arguments = parser.parse_args()
    pairs = (text.partition("=") for text in arguments.alias)
    set_aliases(arguments.uri, arguments.model, {alias: number or None for alias, _, number in pairs})
    return 0


if __name__ == "__main__":
    sys.exit(main())
