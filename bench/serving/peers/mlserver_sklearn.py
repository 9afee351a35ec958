"""MLServer with its runtime for scikit-learn. One process: its pool of workers is no faster for one model."""

import argparse
import json
import os
import tempfile
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--model", type=Path)
arguments = parser.parse_args()

folder = Path(tempfile.mkdtemp(prefix="mlserver-"))
ports = {"http_port": arguments.port, "grpc_port": arguments.port + 1, "metrics_port": arguments.port + 2}
(folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "parallel_workers": 0, **ports}))
settings = {
    "name": "model",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": str((arguments.model / "model.joblib").resolve())},
}
(folder / "model-settings.json").write_text(json.dumps(settings))
os.execvp("mlserver", ["mlserver", "start", str(folder)])
