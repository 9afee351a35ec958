"""KServe's ModelServer with joblib: what kserve-sklearnserver does with a model of scikit-learn."""

import argparse
from pathlib import Path

import joblib
from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--model", type=Path)
arguments = parser.parse_args()


class SKLearnModel(Model):
    def load(self):
        self.model = joblib.load(arguments.model / "model.joblib")
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):
        return get_predict_response(payload, self.model.predict(get_predict_input(payload)), self.name)


if __name__ == "__main__":
    model = SKLearnModel("model")
    model.load()
    ModelServer(http_port=arguments.port, enable_grpc=False).start([model])
