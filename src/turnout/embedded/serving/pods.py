"""Pod -> process: what a kubelet does, with processes for containers."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from turnout.embedded.serving import (
    credentials,
    fetching,
    podstatus,
    probing,
    runtimes,
    shipping,
    storage,
    templates,
    workloads,
)
from turnout.embedded.serving.deployments import FINALIZER
from turnout.embedded.store import Key, Store
from turnout.embedded.supervision import logfiles
from turnout.embedded.supervision.processes import Phase, Spec, State, Supervisor, backoff_s
from turnout.errors import InputError, NotFound, SpecError
from turnout.kube.inferenceservices import condition

__all__ = ["ROLE", "Folders", "PodReconciler", "pod_of", "process_of"]

Object = dict[str, Any]

ROLE = "predictor"

_POLL_S, _FETCH_POLL_S, _RETRY_S = 0.02, 0.05, 10.0
_MODEL = "model"  # in a pod's folder: what its initializer has brought
_NOT_PASSED_ON = ("KUBECONFIG", "TURNOUT_")  # the engine's own settings are not its predictors'


def process_of(namespace: str, pod: str) -> str:
    """The name of a pod's process."""
    return f"{namespace}.{pod}"


def pod_of(process: str) -> Key:
    """The pod of a process; a namespace has no dot in its name."""
    namespace, _, name = process.partition(".")
    return ("Pod", namespace, name)


@dataclass(frozen=True)
class Folders:
    """Where the engine keeps what belongs to pods."""

    run: Path
    logs: Path
    pods: Path
    places: storage.Places


@dataclass(frozen=True)
class _Failed:
    """How often a pod's model was not to be had, and when to try again (the monotonic clock)."""

    attempts: int = 0
    again_at: float = 0.0


class PodReconciler:
    """Starts, shows and ends the processes of pods; `is_served` says whether the gateway still leads to a port."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        prober: probing.Prober,
        *,
        folders: Folders,
        environment: Mapping[str, str],
        is_served: Callable[[int], bool],
    ) -> None:
        self._store, self._supervisor, self._prober = store, supervisor, prober
        self._folders, self._environment, self._is_served = folders, environment, is_served
        self._shippers = shipping.Shippers(
            pods=folders.pods, run=folders.run, logs=folders.logs, environment=environment
        )
        self._fetchers = fetching.Fetchers(run=folders.run, logs=folders.logs)
        self._failures: dict[str, _Failed] = {}

    def keys(self) -> list[Key]:
        """All pods, and whatever is left of pods that are gone: processes and prediction logs."""
        pods = [("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in self._store.list("Pod")]
        processes = [pod_of(state.name) for state in self._supervisor.states() if state.role == ROLE]
        logs = [pod_of(folder.name) for folder in self._folders.pods.iterdir()]
        return list(dict.fromkeys([*pods, *processes, *logs]))

    def replace_lost(self) -> None:
        """Delete the pods whose process ended while no engine looked (`turnout down`, power off).

        Their Deployments make new ones: a prediction log that has ended must not begin again under the same name.
        """
        for pod in self._store.list("Pod"):
            state = self._supervisor.state(_process(pod))
            if state is None or not state.pid:
                with contextlib.suppress(NotFound):
                    self._store.delete("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])

    def affected(self, changed: Key) -> list[Key]:
        """A pod itself."""
        return [changed] if changed[0] == "Pod" else []

    def reconcile(self, key: Key) -> float | None:
        """Bring one pod's process to where the pod says, or end it."""
        _, namespace, name = key
        try:
            pod = self._store.get("Pod", name, namespace)
        except NotFound:
            return self._end_orphan(process_of(namespace, name))
        if "deletionTimestamp" in pod["metadata"]:
            return self._delete(pod)
        return self._run(pod)

    # A pod that is to run

    def _run(self, pod: Object) -> float | None:
        process = _process(pod)
        if not runtimes.command_of(pod["metadata"].get("annotations")):
            message = f"no annotation {runtimes.COMMAND}: this engine runs processes, not containers"
            self._show(pod, podstatus.waiting(pod, reason="NoCommand", message=message))
            return None
        if (pause_s := self._failures.get(process, _Failed()).again_at - time.monotonic()) > 0:
            return pause_s  # whatever else has changed of the pod
        try:
            model = self._model(pod)
            if model is None:
                self._show(pod, podstatus.initializing(pod))
                return _FETCH_POLL_S
            command = _command(pod, model)
            command(0)
        except NotFound as error:
            return self._show_missing_model(pod, str(error))
        except (SpecError, InputError) as error:
            self._show(pod, podstatus.waiting(pod, reason="CreateContainerConfigError", message=str(error)))
            return None
        self._failures.pop(process, None)
        self._supervisor.ensure(self._spec(pod, command))
        state = self._supervisor.state(process)
        if state is not None and state.started_at:
            self._show(pod, podstatus.render(pod, self._life(pod, state)))
        return None

    def _model(self, pod: Object) -> str | None:
        """Where its model is, or will be in a moment (None).

        Raises:
            NotFound: nowhere. A process that runs has read its model, and goes on without.
        """
        uri = (pod["metadata"].get("annotations") or {}).get(workloads.SOURCE)
        if not uri:
            return ""
        process = _process(pod)
        if storage.scheme_of(uri) in storage.REMOTE:
            secrets = credentials.of(pod, self._store)
            if secrets or not storage.is_own(uri):
                found = self._fetchers.fetch(process, uri, self._folders.pods / process / _MODEL, secrets)
                return None if found is None else str(found)
        path = storage.locate(uri, self._folders.places)
        if not path.exists() and self._supervisor.state(process) is None:
            raise NotFound(f"{uri}: no such folder: {path}")
        return str(path)

    def _show_missing_model(self, pod: Object, message: str) -> float:
        """Try again later, as an initializer does: the model may still come."""
        failed = self._failures.get(_process(pod), _Failed())
        pause_s = backoff_s(failed.attempts + 2)
        self._failures[_process(pod)] = _Failed(failed.attempts + 1, time.monotonic() + pause_s)
        self._show(pod, podstatus.failed_initializer(pod, message=message, attempts=failed.attempts))
        return pause_s

    def _spec(self, pod: Object, command: Callable[[int], tuple[str, ...]]) -> Spec:
        folder = self._folders.pods / _process(pod)
        return Spec(
            name=_process(pod),
            role=ROLE,
            command=command,
            folder=folder,
            # A runtime's own variables say how things are on a cluster; here the engine knows better.
            environment={**_inherited(), **_variables(pod), **self._environment, **_identity(pod, folder)},
            grace_s=float(pod["spec"].get("terminationGracePeriodSeconds", 30)),
            is_immutable=True,
        )

    def _life(self, pod: Object, state: State) -> podstatus.Life:
        if state.phase == Phase.BACKOFF:
            self._prober.forget(state.name)
            log = logfiles.path_of(self._folders.logs, state.name)
            words = logfiles.last_line(log, offset=state.log_offset) if state.exit_code else ""
            return podstatus.Life(state=state, is_ready=False, last_words=words)
        container = pod["spec"]["containers"][0]
        is_ready = self._prober.follow(
            state.name,
            pid=state.pid,
            probe=probing.Probe.of(container, port=state.port),
            is_ready=_was_ready(pod, state),  # an adopted process that serves must not lose a request
        )
        return podstatus.Life(state=state, is_ready=is_ready, last_words=self._last_words(pod, state))

    def _last_words(self, pod: Object, state: State) -> str:
        """What the process before this one said at its end, also when its end and its restart were seen as one."""
        container = _container(pod)
        if container.get("restartCount", 0) == state.restarts:
            return str(container.get("lastState", {}).get("terminated", {}).get("message", ""))
        log = logfiles.path_of(self._folders.logs, state.name)
        return logfiles.last_line(log, until=state.log_offset) if state.exit_code else ""

    def _show(self, pod: Object, status: Object) -> None:
        if status == pod.get("status"):
            return

        def change(current: Object) -> Object:
            return {**current, "status": status}

        with contextlib.suppress(NotFound):
            self._store.mutate("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"], change, status=True)

    # A pod that is to go

    def _delete(self, pod: Object) -> float | None:
        """Out of the gateway first, then SIGTERM; the object goes when its process and its log have gone."""
        process = _process(pod)
        state = self._supervisor.state(process)
        if state is not None and state.phase == Phase.RUNNING and self._is_served(state.port):
            return _POLL_S
        progress = self._end(process)
        if progress is None:
            return None
        if progress is shipping.Progress.UNDERWAY:
            return _POLL_S
        self._release(pod)
        return None

    def _end_orphan(self, process: str) -> float | None:
        """What belongs to no pod any more."""
        pauses = {shipping.Progress.UNDERWAY: _POLL_S, shipping.Progress.FAILED: _RETRY_S}
        progress = self._end(process)
        return None if progress is None else pauses.get(progress)

    def _end(self, process: str) -> shipping.Progress | None:
        """End a process, then ship its log; None while it is ending: its end will bring us back here."""
        self._prober.forget(process)
        self._fetchers.forget(process)
        self._failures.pop(process, None)
        if self._supervisor.state(process) is not None:
            self._supervisor.stop(process)
            return None
        return self._shippers.finish(process, ended_well=self._supervisor.take_exit(process) == 0)

    def _release(self, pod: Object) -> None:
        def change(current: Object) -> Object:
            kept = [name for name in current["metadata"].get("finalizers", ()) if name != FINALIZER]
            return {**current, "metadata": {**current["metadata"], "finalizers": kept}}

        with contextlib.suppress(NotFound):
            self._store.mutate("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"], change)


def _process(pod: Object) -> str:
    return process_of(pod["metadata"]["namespace"], pod["metadata"]["name"])


def _command(pod: Object, model: str) -> Callable[[int], tuple[str, ...]]:
    """The argument list for a port. Templates see the InferenceService's metadata in the pod's, which inherits it."""
    metadata = pod["metadata"]
    line = runtimes.command_of(metadata["annotations"])
    appended = tuple(orjson.loads(metadata["annotations"].get(workloads.ARGUMENTS, "[]")))
    seen = {**metadata, "name": metadata["labels"].get(workloads.LABEL, metadata["name"])}

    def command(port: int) -> tuple[str, ...]:
        words = templates.command_words(line, templates.fields_of(seen, Port=str(port), ModelDir=model))
        if words and words[0] in ("python", "python3"):
            words = (sys.executable, *words[1:])  # the interpreter that has what our runtimes import
        return (*words, *appended)

    return command


def _variables(pod: Object) -> dict[str, str]:
    """The environment that the container would have."""
    container = pod["spec"]["containers"][0]
    return {entry["name"]: str(entry["value"]) for entry in container.get("env") or () if "value" in entry}


def _identity(pod: Object, folder: Path) -> dict[str, str]:
    """Who a predictor is, and where it keeps its log."""
    return {
        "POD_NAME": pod["metadata"]["name"],
        "POD_NAMESPACE": pod["metadata"]["namespace"],
        "TURNOUT_PREDICTION_LOG_DIR": str(folder),
    }


def _inherited() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(_NOT_PASSED_ON)}


def _was_ready(pod: Object, state: State) -> bool:
    """Whether the pod's status says Ready of exactly this start of its process."""
    container = _container(pod)
    started = container.get("state", {}).get("running", {}).get("startedAt")
    is_same = started == podstatus.moment(state.started_at) and container.get("restartCount") == state.restarts
    return is_same and condition(pod, "Ready").get("status") == "True"


def _container(pod: Object) -> Object:
    statuses: list[Object] = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return statuses[0]
