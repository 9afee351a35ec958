"""V2 over gRPC, asked by KServe's own client and by plain protobuf."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as kserve_pb

from tests.predictor import models
from tests.predictor.processes import Predictor, command, ended, eventually
from turnout.predictor.over_grpc import open_inference_pb2 as pb

pytestmark = pytest.mark.e2e

ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32)
SERVICE = "/inference.GRPCInferenceService"


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def predictor(launch: Callable[..., Predictor], iris: models.Artifact, log_dir: Path) -> Predictor:
    return launch(iris, "--grpc_port=0", f"--log_dir={log_dir}", "--max_body_bytes=100000")


@pytest.fixture(scope="module")
def address(predictor: Predictor) -> str:
    found = re.search(r"grpc://(\S+)", predictor.greeting)
    assert found
    return found[1]


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as found:
        yield found


def with_client(address: str, story: Callable[[InferenceGRPCClient], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        client = InferenceGRPCClient(url=address)
        try:
            return await story(client)
        finally:
            await client.close()

    return asyncio.run(run())


def call(channel: grpc.Channel, name: str, request: Any, reply: Any, metadata: Any = ()) -> tuple[Any, dict[str, str]]:
    method = channel.unary_unary(
        f"{SERVICE}/{name}", request_serializer=type(request).SerializeToString, response_deserializer=reply.FromString
    )
    found, told = method.with_call(request, metadata=metadata, timeout=20)
    return found, {key: str(value) for key, value in told.initial_metadata()}


def asked(**changes: Any) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="digits", **changes)
    entry = message.inputs.add(name="input-0", datatype="FP32", shape=ROWS.shape)
    entry.contents.fp32_contents.extend(ROWS.reshape(-1).tolist())
    return message


@pytest.mark.parametrize("binary", [False, True])
def test_kserves_client_predicts(address: str, iris: models.Artifact, binary: bool) -> None:
    tensor = InferInput("input-0", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)

    reply = with_client(address, lambda client: client.infer(InferRequest("digits", [tensor], request_id="mine")))

    assert reply.outputs[0].as_numpy().tolist() == iris.estimator.predict(ROWS).tolist()
    assert (reply.id, reply.model_name, reply.model_version) == ("mine", "digits", "digits-v4")


def test_kserves_client_finds_the_server_and_the_model_ready(address: str) -> None:
    async def story(client: InferenceGRPCClient) -> list[bool]:
        live, ready = await client.is_server_live(), await client.is_server_ready()
        return [live, ready, await client.is_model_ready("digits")]

    assert with_client(address, story) == [True, True, True]


def test_metadata_is_the_models_real_signature(channel: grpc.Channel) -> None:
    server, _ = call(channel, "ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse)
    model, _ = call(channel, "ModelMetadata", pb.ModelMetadataRequest(name="digits"), pb.ModelMetadataResponse)

    assert server.name == "turnout"
    assert (list(model.versions), model.platform) == (["digits-v4"], "onnx_onnxv1")
    assert [(entry.name, entry.datatype, list(entry.shape)) for entry in model.outputs] == [
        ("output-0", "INT64", [-1]),
        ("probabilities", "FP32", [-1, 3]),
    ]


def test_what_is_said_in_headers_over_http_is_said_in_metadata(channel: grpc.Channel, log_dir: Path) -> None:
    stamp = "digits-v4;p=0.20;rev=k3x9"
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    said = [("x-turnout-assigned", stamp), ("x-turnout-caller-id", "mine"), ("traceparent", parent)]

    reply, told = call(channel, "ModelInfer", asked(), pb.ModelInferResponse, said)

    assert (told["x-turnout-version"], reply.id) == ("digits-v4", told["x-turnout-id"])
    assert told["traceparent"].split("-")[1:3] == [parent.split("-")[1], told["x-turnout-id"][:16]]
    records = eventually(lambda: "".join(path.read_text() for path in log_dir.glob("*.ndjson")))
    (record,) = [line for line in records.splitlines() if told["x-turnout-id"] in line]
    for part in (
        f'"stamp":"{stamp}"',
        '"protocol":"grpc"',
        f'"traceparent":"{parent}"',
        '"rows":2',
        '"caller_id":"mine"',
    ):
        assert part in record


def test_probabilities_are_answered_when_asked_for(channel: grpc.Channel) -> None:
    message = asked(model_version="digits-v4")
    message.outputs.add(name="probabilities")

    reply, _ = call(channel, "ModelInfer", message, pb.ModelInferResponse)

    assert [output.name for output in reply.outputs] == ["probabilities"]
    np.testing.assert_allclose(sum(reply.outputs[0].contents.fp32_contents), 2.0, rtol=1e-5)


def wrong(name: str, request: Any, reply: Any, code: grpc.StatusCode, message: str) -> Any:
    return pytest.param(name, request, reply, code, message, id=message[:40])


@pytest.mark.parametrize(
    ("name", "request_", "reply", "code", "message"),
    [
        wrong(
            "ModelInfer",
            pb.ModelInferRequest(model_name="x"),
            pb.ModelInferResponse,
            grpc.StatusCode.NOT_FOUND,
            "model 'x': not found; this server has digits, digits-v4",
        ),
        wrong(
            "ModelInfer",
            asked(model_version="9"),
            pb.ModelInferResponse,
            grpc.StatusCode.NOT_FOUND,
            "version '9' of digits: not found; this server has digits-v4",
        ),
        wrong(
            "ModelInfer",
            pb.ModelInferRequest(model_name="digits"),
            pb.ModelInferResponse,
            grpc.StatusCode.INVALID_ARGUMENT,
            "inputs: wanted input-0; missing: input-0",
        ),
        wrong(
            "ModelReady",
            pb.ModelReadyRequest(name="x"),
            pb.ModelReadyResponse,
            grpc.StatusCode.NOT_FOUND,
            "model 'x': not found",
        ),
        wrong(
            "ModelMetadata",
            pb.ModelMetadataRequest(name="x"),
            pb.ModelMetadataResponse,
            grpc.StatusCode.NOT_FOUND,
            "model 'x': not found",
        ),
        wrong(
            "ModelInfer",
            pb.ModelInferRequest(model_name="digits", raw_input_contents=[bytes(200_000)]),
            pb.ModelInferResponse,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "",
        ),
        wrong(
            "Nothing",
            pb.ServerLiveRequest(),
            pb.ServerLiveResponse,
            grpc.StatusCode.UNIMPLEMENTED,
            "",
        ),
    ],
)
def test_wrong_calls_get_a_code_and_a_reason(
    channel: grpc.Channel, name: str, request_: Any, reply: Any, code: grpc.StatusCode, message: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, name, request_, reply)

    assert caught.value.code() == code
    assert message in (caught.value.details() or "")


def test_a_caller_id_that_is_too_long_is_refused(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", asked(), pb.ModelInferResponse, [("x-turnout-caller-id", "x" * 257)])

    assert "x-turnout-caller-id: wanted at most 256 characters" in caught.value.details()


@pytest.mark.parametrize(
    "name", ["ModelInferRequest", "ModelInferResponse", "ModelMetadataResponse", "InferTensorContents"]
)
def test_messages_have_the_field_numbers_of_kserves(name: str) -> None:
    def numbered(descriptor: Any) -> Any:
        nested = {one.name: numbered(one) for one in descriptor.nested_types}
        return {field.name: (field.number, field.type) for field in descriptor.fields}, nested

    ours, theirs = numbered(getattr(pb, name).DESCRIPTOR), numbered(getattr(kserve_pb, name).DESCRIPTOR)
    assert theirs[0].items() <= ours[0].items()
    assert theirs[1].items() <= ours[1].items()


def test_a_port_of_its_own_that_is_taken_is_told(address: str, iris: models.Artifact) -> None:
    port = address.rpartition(":")[2]
    found = ended(*command(iris.folder, "--model_name=digits-v4", f"--grpc_port={port}"))

    assert found.returncode == 1
    assert f"grpc://127.0.0.1:{port}: this port is taken by another process" in found.stderr
