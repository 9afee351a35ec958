"""KServe's ModelServer with the same ONNX file that our predictor serves."""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--model", type=Path)
arguments = parser.parse_args()


class OnnxModel(Model):
    def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(arguments.model / "model.onnx"), options)
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[0].name
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):
        rows = np.asarray(get_predict_input(payload), dtype=np.float32)
        return get_predict_response(payload, self.session.run([self.output], {self.input: rows})[0], self.name)


if __name__ == "__main__":
    model = OnnxModel("model")
    model.load()
    ModelServer(http_port=arguments.port, enable_grpc=False).start([model])
