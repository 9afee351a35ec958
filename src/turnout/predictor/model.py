"""The model: one ONNX session, checked against the manifest before the first request."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from turnout.errors import Failed, InputError, ModelError
from turnout.predictor import artifact
from turnout.predictor.artifact import Manifest, Signature
from turnout.predictor.tensors import DATATYPES, Array

__all__ = ["Load", "Model", "Servable", "load"]

# The wheel comes with telemetry switched on; what is served here is nobody else's business.
onnxruntime.disable_telemetry_events()

# onnxruntime's exceptions share no base class.
_LOAD_ERRORS = (
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NoSuchFile,
    ort.NotImplemented,
)
_VALUE_ERRORS = (ort.Fail, ort.InvalidArgument)
_RUN_ERRORS = (ort.RuntimeException, ort.EPFail, ort.NotImplemented)


class Servable(Protocol):
    """What a predictor needs of a model; several may be loaded side by side."""

    @property
    def manifest(self) -> Manifest:
        """How it is asked."""

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The named outputs for these inputs, both by their names in the model; see `Model.run`."""


class Load(Protocol):
    """How a runtime opens a model folder; see `load`."""

    def __call__(self, folder: Path, *, digest: str) -> Servable: ...


class Model:
    """Runs arrays through the ONNX graph of one version."""

    def __init__(self, manifest: Manifest) -> None:
        """Load and check.

        Raises:
            ModelError: onnxruntime refuses the file, or its inputs and outputs are not the manifest's.
        """
        self.manifest = manifest
        self._session = _session(manifest)
        # What `run` of the Python class calls after it has looked over all names and options once more, which takes
        # 4 us of every tick. `_check` has looked already.
        self._run = self._session._sess.run
        _check(manifest, manifest.inputs, self._session.get_inputs(), "inputs")
        _check(manifest, manifest.outputs, self._session.get_outputs(), "outputs")
        _return_freed_memory()

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The named ONNX outputs for these ONNX inputs.

        Raises:
            InputError: the model refuses these values (a category that it never saw, for instance).
            Failed: the model itself broke.
        """
        try:
            return list(self._run(outputs, feeds, None))
        except _VALUE_ERRORS as error:
            raise InputError(f"the model cannot take these values: {error}") from error
        except _RUN_ERRORS as error:
            raise Failed(f"the model failed: {error}") from error


def load(folder: Path, *, digest: str) -> Model:
    """The model of an artifact whose digests match.

    Raises:
        ModelError: it is not what the digest says, or cannot be served.
    """
    return Model(artifact.load(folder, digest=digest))


def _session(manifest: Manifest) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # One thread: a second one makes single rows and batches slower, and takes the core that the gateway needs.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong in a run is raised, and told to the caller
    # By path, not by bytes: a session keeps the bytes that it was given for its whole life.
    try:
        return onnxruntime.InferenceSession(str(manifest.model_path), options, providers=["CPUExecutionProvider"])
    except _LOAD_ERRORS as error:
        raise ModelError(f"{manifest.model_path}: onnxruntime cannot load it: {error}") from error


def _check(manifest: Manifest, wanted: Sequence[Signature], found: Sequence[onnxruntime.NodeArg], key: str) -> None:
    types = {node.name: node.type for node in found}
    for signature in wanted:
        datatype = DATATYPES.get(signature.datatype)
        if datatype is None or not datatype.onnx:
            raise ModelError(f"{manifest.folder}: {key}: {signature.name}: cannot serve datatype {signature.datatype}")
        if types.get(signature.onnx) != datatype.onnx:
            raise ModelError(
                f"{manifest.model_path}: {key}: wanted {signature.onnx} of {datatype.onnx}, "
                f"found {', '.join(f'{name} of {kind}' for name, kind in types.items())}"
            )
    if key == "inputs" and len(types) != len(wanted):
        raise ModelError(f"{manifest.model_path}: inputs: wanted {len(wanted)}, found {len(types)}: {', '.join(types)}")


def _return_freed_memory() -> None:
    """Give back what parsing the file left behind: 36 of 120 MB for a forest of 100 trees, in 2 ms.

    Only glibc hoards it and only glibc has the call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
