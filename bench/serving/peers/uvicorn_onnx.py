"""uvicorn, a bare ASGI function, orjson and the same ONNX file: the fastest that a common server is without effort."""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import orjson
import uvicorn

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--model", type=Path)
arguments = parser.parse_args()

onnxruntime.disable_telemetry_events()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(str(arguments.model / "model.onnx"), options)
names = [session.get_outputs()[0].name], session.get_inputs()[0].name


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    rows = np.array(orjson.loads(body)["instances"], dtype=np.float32)
    answer = orjson.dumps({"predictions": session.run(names[0], {names[1]: rows})[0].tolist()})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    # At few requests a second some connections are idle for longer than the 5 s after which it closes them.
    how = {"log_level": "warning", "access_log": False, "timeout_keep_alive": 60}
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, **how)
