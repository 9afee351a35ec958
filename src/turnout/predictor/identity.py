"""Whose predictions these are. Its own module, so that shipping a log needs no numpy and no onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Identity"]


@dataclass(frozen=True)
class Identity:
    """The part of every record that never changes; the Pod's name is the name of its log."""

    namespace: str
    endpoint: str
    version: str
    pod: str
