"""What is asked, in every dialect, as files that the load generators read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from bench.serving.models import Model

__all__ = ["Asked", "v1", "v1_records", "v2", "v2_binary"]


@dataclass(frozen=True)
class Asked:
    """A request: its path, its headers, and the file that holds its body."""

    path: str
    headers: dict[str, str]
    body: Path
    rows: int

    def http(self, path: str = "", host: str = "127.0.0.1") -> bytes:
        """The whole request as bytes."""
        content = self.body.read_bytes()
        headers = {"Host": host, **self.headers, "Content-Length": str(len(content))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {path or self.path} HTTP/1.1\r\n{lines}\r\n".encode() + content


def v1(model: Model, rows: int, folder: Path, *, path: str = "/v1/models/model:predict") -> Asked:
    """`{"instances": [[...]]}`."""
    content = orjson.dumps({"instances": _numbers(model, rows).tolist()})
    return _asked(folder / f"{model.name}-v1-{rows}.json", content, path=path, rows=rows)


def v1_records(model: Model, rows: int, folder: Path, *, as_lists: bool = False) -> Asked:
    """`{"instances": [{"n0": ..., "w0": "Bern"}]}`: what a data frame is asked with.

    `as_lists`: `{"n0": [...]}` per row, because KServe makes a data frame out of each.
    """
    records = [
        {name: [value] if as_lists else value for name, value in zip(model.features, row, strict=True)}
        for row in model.rows[:rows].tolist()
    ]
    file = folder / f"{model.name}-v1-{'lists' if as_lists else 'records'}-{rows}.json"
    return _asked(file, orjson.dumps({"instances": records}), path="/v1/models/model:predict", rows=rows)


def v2(model: Model, rows: int, folder: Path) -> Asked:
    """One FP32 tensor in JSON; the answer is the label only."""
    table = _numbers(model, rows)
    tensor = {"name": "input-0", "datatype": "FP32", "shape": list(table.shape), "data": table.ravel().tolist()}
    content = orjson.dumps({"inputs": [tensor]})
    return _asked(folder / f"{model.name}-v2-{rows}.json", content, path="/v2/models/model/infer", rows=rows)


def v2_binary(model: Model, rows: int, folder: Path) -> Asked:
    """The same tensor as raw bytes behind the JSON, answered likewise (the binary tensor extension)."""
    table = _numbers(model, rows).astype("<f4")
    raw = table.tobytes()
    parameters = {"binary_data_size": len(raw)}
    tensor = {"name": "input-0", "datatype": "FP32", "shape": list(table.shape), "parameters": parameters}
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    path = "/v2/models/model/infer"
    return _asked(folder / f"{model.name}-v2-{rows}.bin", head + raw, path=path, rows=rows, headers=headers)


def _numbers(model: Model, rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """One row is a real image; many rows have six decimals, because measured values rarely are whole numbers."""
    table = np.resize(model.rows.astype(np.float32), (rows, model.rows.shape[1]))
    if rows > 1:
        table = np.round(table + np.random.default_rng(0).uniform(0, 0.5, size=table.shape), 6).astype(np.float32)
    return table


def _asked(file: Path, content: bytes, *, path: str, rows: int, headers: dict[str, str] | None = None) -> Asked:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return Asked(path=path, headers=headers or {"Content-Type": "application/json"}, body=file, rows=rows)
