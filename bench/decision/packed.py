"""Streams whose repetitions have different numbers of labels: moved to the left, the rest without evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from turnout.simulation.kernel import ScoreBets

__all__ = ["Labels", "pack", "reached"]


@dataclass(frozen=True)
class Labels:
    """Arrays of shape (labels, repetitions); behind the last label of a repetition `share` is zero."""

    y: np.ndarray
    assigned: np.ndarray
    share: np.ndarray


def pack(
    chosen: np.ndarray,
    *,
    y: np.ndarray,
    assigned: np.ndarray,
    share: np.ndarray | float = 1.0,
    order: np.ndarray | None = None,
) -> Labels:
    """The chosen labels of each repetition, in the order of `order` (else of the columns).

    Args:
        chosen: which (repetition, request) became a label.
        y, assigned, share: of every request; `share` per request number or one for all.
        order: sort keys, for labels that are processed as they arrive.
    """
    keys = np.where(chosen, np.arange(chosen.shape[1]) if order is None else order, np.inf)
    at = np.argsort(keys, axis=1, kind="stable")[:, : int(chosen.sum(axis=1).max())]
    there = np.take_along_axis(chosen, at, axis=1)
    shares = np.broadcast_to(share, chosen.shape)
    return Labels(
        np.take_along_axis(y, at, axis=1).T.astype(float),
        np.take_along_axis(assigned, at, axis=1).T.astype(float),
        np.where(there, np.take_along_axis(shares, at, axis=1), 0.0).T.astype(float),
    )


def reached(tests: ScoreBets, labels: Labels, *, threshold: float, share: float | None = None) -> np.ndarray:
    """Which repetitions reach the threshold; `share` replaces the recorded ones (but not their absence)."""
    found = np.zeros(labels.y.shape[1], bool)
    shares = labels.share if share is None else labels.share * share
    for y, assigned, now in zip(labels.y, labels.assigned, shares, strict=True):
        tests.update(y=y, assigned=assigned, share=now)
        if tests.evidence.max() >= threshold:
            found |= tests.evidence >= threshold
    return found
