"""The Kubernetes REST protocol over the engine's store, as an ASGI application.

    request -> app (token) -> routes (what is meant) -> verbs | watching | discovery | openapi | logs
    a write: bodies (decode) -> patches | apply -> writing (schema, admission, validation) -> store

What is generic knows kinds only from `turnout.embedded.kinds`; what is special about one kind stands in `built_in`
(core kinds), `rules` (conditions that a schema cannot say) and `admission` (KServe's webhooks).
"""

from __future__ import annotations

from turnout.embedded.api.app import application

__all__ = ["application"]
