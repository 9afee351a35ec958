"""FastAPI as people write it."""

import argparse
from pathlib import Path

import joblib
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--model", type=Path)
arguments = parser.parse_args()

app = FastAPI()
model = joblib.load(arguments.model / "model.joblib")


class Rows(BaseModel):
    instances: list[list[float]]


@app.post("/predict")
def predict(rows: Rows) -> dict[str, list[int]]:
    return {"predictions": model.predict(np.asarray(rows.instances)).tolist()}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")
