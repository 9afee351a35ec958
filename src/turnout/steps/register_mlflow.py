"""MLflow as the registration needs it: every call finds what an earlier, killed attempt left, and goes on from there.

MLflow takes a second and a half to import and weighs 150 MB; nothing but the registration imports this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from turnout import storage
from turnout.errors import Conflict, Failed, Unavailable

__all__ = ["Registry"]

_ATTEMPTS = 20
_LONGEST_PARAMETER = 500
_RUN_TAG = "turnout.run"


class Registry:
    """One registered model: its experiment, its runs and its versions."""

    def __init__(self, uri: str, *, model: str, artifacts_url: str) -> None:
        with _translated(uri):
            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._uri, self._model, self._artifacts_url = uri, model, artifacts_url

    def run(self, name: str, *, tags: Mapping[str, str]) -> str:
        """The id of MLflow's run for our run of this name."""
        with _translated(self._uri):
            experiment = self._experiment()
            for found in self._client.search_runs([experiment], f"tags.`{_RUN_TAG}` = '{name}'", max_results=1):
                return str(found.info.run_id)
            return str(self._client.create_run(experiment, tags=dict(tags), run_name=name).info.run_id)

    def log(
        self, run: str, *, parameters: Mapping[str, Any], metrics: Mapping[str, float], files: Iterable[Path]
    ) -> None:
        """Write parameters, metrics and files of a run."""
        with _translated(self._uri):
            time_ms = int(self._client.get_run(run).info.start_time)
            self._client.log_batch(
                run,
                params=[Param(name, str(value)[:_LONGEST_PARAMETER]) for name, value in parameters.items()],
                # One point in time for all, so that writing them again changes nothing.
                metrics=[Metric(name, value, time_ms, 0) for name, value in metrics.items()],
            )
            for file in files:
                self._client.log_artifact(run, str(file))

    def version(self, name: str, *, mlflow_run: str, folder: str, description: str) -> int:
        """The number of the version that our run of this name made; makes it when there is none.

        MLflow wants to know where a version lives before it says its number, and never gives a number twice. So the
        number is foreseen; a version that got another one (somebody was faster, or later ones were deleted) is dropped.
        """
        with _translated(self._uri):
            self._registered_model()
            mine = self._client.search_model_versions(f"name = '{self._model}' and tags.`{_RUN_TAG}` = '{name}'")
            if mine:
                return max(int(version.version) for version in mine)
            foreseen = self._latest() + 1
            for _ in range(_ATTEMPTS):
                made = self._client.create_model_version(
                    self._model,
                    source=storage.join(folder, f"v{foreseen}"),
                    run_id=mlflow_run,
                    tags={_RUN_TAG: name},
                    description=description,
                )
                if int(made.version) == foreseen:
                    return foreseen
                self._client.delete_model_version(self._model, made.version)
                foreseen = int(made.version) + 1
        raise Conflict(f"{_ATTEMPTS} times somebody else registered a version of {self._model} first; try again")

    def others(self, tag: str, value: str, *, but: int) -> dict[int, dict[str, str]]:
        """The tags of the other versions that have this tag."""
        with _translated(self._uri):
            found = self._client.search_model_versions(f"name = '{self._model}' and tags.`{tag}` = '{value}'")
        return {int(one.version): dict(one.tags) for one in found if int(one.version) != but}

    def finish(self, number: int, *, mlflow_run: str, tags: Mapping[str, str], alias: str) -> None:
        """Tag the version and its run, point the alias to it, and end the run."""
        with _translated(self._uri):
            self._client.log_batch(mlflow_run, tags=[RunTag(name, value) for name, value in tags.items()])
            for name, value in tags.items():
                self._client.set_model_version_tag(self._model, str(number), name, value)
            self._client.set_registered_model_alias(self._model, alias, str(number))
            self._client.set_terminated(mlflow_run)

    def _experiment(self) -> str:
        if found := self._client.get_experiment_by_name(self._model):
            return str(found.experiment_id)
        # A tracking server decides itself where files go; a bare database would put them below the current folder.
        location = None if urlsplit(self._uri).scheme in ("http", "https") else self._artifacts_url
        try:
            return str(self._client.create_experiment(self._model, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self._experiment()

    def _registered_model(self) -> None:
        try:
            self._client.create_registered_model(self._model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _latest(self) -> int:
        versions = self._client.search_model_versions(f"name = '{self._model}'")
        return max((int(version.version) for version in versions), default=0)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """The one place where MLflow's exceptions become ours. Addresses are told without user and password."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    try:
        yield
    except MlflowException as error:
        kind = Unavailable if error.error_code in ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR") else Failed
        said = str(error).splitlines()[0]
        said = said.replace(parts.netloc, host) if parts.netloc else said
        raise kind(f"MLflow at {parts.scheme}://{host}{parts.path}: {said}") from error
