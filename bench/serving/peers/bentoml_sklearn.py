"""Starts the BentoML service beside this file."""

import argparse
import os
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--port")
parser.add_argument("--model")
arguments = parser.parse_args()

os.environ["BENCH_MODEL"] = arguments.model
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.chdir(Path(__file__).parent)
bentoml = str(Path(sys.executable).parent / "bentoml")
os.execv(bentoml, [bentoml, "serve", "bento_service:Digits", "--host", "127.0.0.1", "--port", arguments.port])
