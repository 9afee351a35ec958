"""BentoML as its quickstart writes it."""

import os
from pathlib import Path

import bentoml
import joblib
import numpy as np


@bentoml.service
class Digits:
    def __init__(self) -> None:
        self.model = joblib.load(Path(os.environ["BENCH_MODEL"]) / "model.joblib")

    @bentoml.api(route="/predict")
    def predict(self, instances: list[list[float]]) -> list[int]:
        return self.model.predict(np.asarray(instances)).tolist()
