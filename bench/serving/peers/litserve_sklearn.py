"""LitServe as its quickstart writes it."""

import argparse
from pathlib import Path

import joblib
import litserve
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--model", type=Path)
arguments = parser.parse_args()


class Digits(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load(arguments.model / "model.joblib")

    def decode_request(self, request):
        return np.asarray(request["instances"])

    def predict(self, rows):
        return self.model.predict(rows)

    def encode_response(self, labels):
        return {"predictions": labels.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Digits(), accelerator="cpu")
    server.run(host="127.0.0.1", port=arguments.port, generate_client_file=False, log_level="warning")
