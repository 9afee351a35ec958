"""Several challengers at once: each is compared with the champion on the requests of the two alone."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["pair_share", "promoted_together"]


def pair_share(*, champion: float, challenger: float) -> float:
    """The probability of the challenger among the requests of the pair; 0 when the pair has no share at all.

    Examples:
        >>> round(pair_share(champion=0.85, challenger=0.05), 4)
        0.0556
    """
    return challenger / (champion + challenger) if champion + challenger > 0.0 else 0.0


def promoted_together(evidence: Mapping[str, float], *, alpha: float) -> list[str]:
    """The challengers that are shown to be not worse, all at once, with a family-wise error of at most α.

    Holm's procedure on e-values: the i-th largest needs (k - i + 1) / α. It contains the simple rule k / α for each and
    holds under any dependence (e-Holm; Vovk and Wang, "E-values", Ann. Stat. 49(3), 2021, section 5).
    A rollback needs no correction: it is an error about one challenger only.

    Examples:
        >>> promoted_together({"a": 70.0, "b": 45.0, "c": 1.0}, alpha=0.05)
        ['a', 'b']
    """
    names = sorted(evidence, key=lambda name: evidence[name], reverse=True)
    shown: list[str] = []
    for rank, name in enumerate(names):
        if evidence[name] < (len(names) - rank) / alpha:
            break
        shown.append(name)
    return shown
