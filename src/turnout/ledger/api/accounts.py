"""Pods of a cluster come in with the token of their ServiceAccount, which the Kubernetes API server vouches for.

Such a token is made for the audience `turnout-ledger`, lives an hour, is renewed by the kubelet, and dies with its Pod:
nothing has to be copied into the namespaces of the predictors. Whoever presents one may ship predictions of its own
namespace; what else an account may do is said when the ledger is started. A review is remembered for a minute, so that
a batch costs no call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from turnout.errors import InputError, TurnoutError
from turnout.ledger.api.tokens import Holder
from turnout.ledger.roles import ROLES, digest

__all__ = ["AUDIENCE", "Accounts", "Reviewer", "kubernetes", "parse_roles"]

AUDIENCE = "turnout-ledger"
_PREFIX = "system:serviceaccount:"
_REMEMBERED_S = 60.0
_MOST = 10_000  # answers kept; beyond that the oldest are asked for again
_EVERYBODY = frozenset({"events"})
_log = logging.getLogger(__name__)


class Reviewer(Protocol):
    """Who knows whose token it is."""

    def __call__(self, token: str) -> str | None:
        """The user name of an authentic token for our audience, else None; TurnoutError when nobody can say."""


class Accounts:
    """The ServiceAccounts that have called lately."""

    def __init__(
        self,
        review: Reviewer,
        *,
        roles: Mapping[str, frozenset[str]] | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._review, self._roles, self._clock_s = review, dict(roles or {}), clock_s
        self._known: dict[str, tuple[float, Holder | None]] = {}

    async def holder(self, token: str) -> Holder | None:
        """Who has this token; None for strangers. Never waits for the API server on the event loop.

        Raises:
            TurnoutError: the API server does not answer, and this token was not seen within the last minute.
        """
        if token.count(".") != 2:
            return None  # no JSON Web Token: not worth a question
        key, now_s = digest(token), self._clock_s()
        until_s, holder = self._known.get(key, (0.0, None))
        if now_s < until_s:
            return holder
        name = await asyncio.to_thread(self._review, token)
        holder = None if name is None else self._known_as(name)
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[key] = (now_s + _REMEMBERED_S, holder)
        return holder

    def _known_as(self, name: str) -> Holder:
        namespace, _, _ = name.removeprefix(_PREFIX).partition(":")
        roles = self._roles.get(name) or self._roles.get(f"{_PREFIX}{namespace}:*")
        return Holder(name, roles) if roles else Holder(name, _EVERYBODY, namespace)


def parse_roles(words: list[str]) -> dict[str, frozenset[str]]:
    """`namespace/account=role,role` as roles by user name; the account `*` is every one of that namespace.

    Raises:
        InputError: a word has another form, or a role is none.
    """
    found = {}
    for word in words:
        account, _, roles = word.partition("=")
        namespace, _, name = account.partition("/")
        given = frozenset(roles.split(","))
        if not namespace or not name or not given <= set(ROLES):
            raise InputError(
                f"--account {word}: wanted namespace/account=roles, roles of {', '.join(ROLES)} joined by commas"
            )
        found[f"{_PREFIX}{namespace}:{name}"] = given
    return found


def kubernetes() -> Reviewer:
    """Ask the API server of the cluster that we run in, by TokenReview."""
    from turnout.kube import client

    kube = client.connect()

    def review(token: str) -> str | None:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "metadata": {},
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        try:
            status = kube.create(body).get("status") or {}
        except TurnoutError as error:
            _log.warning("a token cannot be reviewed: %s", error)
            raise
        # An API server that knows nothing of audiences names none: its word is about another audience, then.
        if not status.get("authenticated") or AUDIENCE not in (status.get("audiences") or []):
            return None
        return str(status["user"]["username"])

    return review
