"""Up to when evidence is complete, and whom it waits for.

Records reach the ledger late, but every log says up to when it has sent all it has: its watermark. So evidence is
complete up to the lowest watermark of the logs of all versions in the route, a version without any log holds it at
zero, and what has been handed out is written down as closed before it is: nothing may join it afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from turnout.ledger import audit
from turnout.ledger.schema import GATEWAY_LOGS, LOGS, VERSIONS

__all__ = ["Horizon", "close_gateway", "close_predictions"]

# Predictors report every 0.5 s. A log that was silent for longer is named as the one that everybody waits for.
_SILENT_US = 2_000_000


@dataclass(frozen=True)
class Horizon:
    """All is known up to `watermark_us`; `waiting_for` names the logs, or versions without one, that hold it back."""

    watermark_us: int
    waiting_for: tuple[str, ...]


def close_predictions(
    connection: Connection, *, namespace: str, turnout: str, versions: tuple[str, ...], now_us: int
) -> Horizon:
    """Close the evidence of these versions up to now, or as far as the logs in the Turnout's route allow."""
    route = set(versions) | _weighted(connection, namespace=namespace, turnout=turnout)
    of_turnout = (VERSIONS.c.namespace == namespace) & (VERSIONS.c.endpoint == turnout)
    logs = connection.execute(
        select(VERSIONS.c.version, LOGS.c.log, LOGS.c.watermark_us, LOGS.c.final)
        .join(LOGS, LOGS.c.version_no == VERSIONS.c.no)
        .where(of_turnout, VERSIONS.c.version.in_(route))
    ).all()
    horizon = _horizon(
        {log.log: log.watermark_us for log in logs if not log.final},
        missing=route - {log.version for log in logs},
        now_us=now_us,
    )
    connection.execute(
        update(VERSIONS)
        .where(of_turnout, VERSIONS.c.version.in_(versions), VERSIONS.c.closed_us < horizon.watermark_us)
        .values(closed_us=horizon.watermark_us)
    )
    return horizon


def close_gateway(connection: Connection, *, now_us: int) -> Horizon:
    """Close the gateway's evidence as far as all its logs allow."""
    logs = connection.execute(select(GATEWAY_LOGS)).all()
    horizon = _horizon(
        {log.log: log.watermark_us for log in logs if not log.final},
        missing=() if logs else ("gateway",),
        now_us=now_us,
    )
    connection.execute(
        update(GATEWAY_LOGS)
        .where(GATEWAY_LOGS.c.closed_us < horizon.watermark_us)
        .values(closed_us=horizon.watermark_us)
    )
    return horizon


def _weighted(connection: Connection, *, namespace: str, turnout: str) -> set[str]:
    """The versions that got requests under the last weights of the audit."""
    last = audit.latest(connection, namespace=namespace, turnout=turnout, actions=("weights",))
    return {version for version, weight in last["data"]["weights"].items() if weight > 0} if last else set()


def _horizon(watermarks: dict[str, int], *, missing: Iterable[str], now_us: int) -> Horizon:
    absent = sorted(missing)
    silent = sorted(log for log, watermark_us in watermarks.items() if watermark_us < now_us - _SILENT_US)
    complete_us = 0 if absent else min((now_us, *watermarks.values()))
    return Horizon(watermark_us=complete_us, waiting_for=(*absent, *silent))
