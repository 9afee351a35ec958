"""The kinds that the embedded engine serves: one entry each.

A custom kind is read from a CustomResourceDefinition, the same file that a cluster gets; a built-in kind is one line
of the table below. Whatever is generic (store, verbs, watch, tables, discovery) learns of a kind only from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.embedded import columns, crds

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """What the engine must know of a kind.

    Objects of an `is_view` kind show what runs and are made by the engine alone. Clients may edit and delete them, as
    on a cluster, and as there their owner puts them right.
    """

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    has_status: bool = False
    is_view: bool = False
    columns: tuple[columns.Column, ...] = ()
    schema: dict[str, Any] = field(default_factory=dict)
    custom: bool = False  # a custom resource: validated by its schema, its spec counted by metadata.generation
    other_versions: tuple[str, ...] = ()  # also served, with the same schema

    @property
    def api_version(self) -> str:
        """What stands in `apiVersion` of a stored object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name that messages use: `httproutes.gateway.networking.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def needs_version(self) -> bool:
        """Whether an update must say which state it replaces."""
        return self.custom or self.kind == "Lease"

    @property
    def counts_generations(self) -> bool:
        """Whether a change of the spec raises metadata.generation."""
        return self.custom or self.group == "apps"


def _custom(path: Path) -> Kind:
    definition = crds.load(path)
    return Kind(
        group=definition.group,
        version=definition.version,
        plural=definition.plural,
        kind=definition.kind,
        singular=definition.singular,
        short_names=definition.short_names,
        categories=definition.categories,
        namespaced=definition.namespaced,
        has_status=definition.has_status,
        columns=columns.of_custom_kind(definition.printer_columns),
        schema=_with_metadata(definition.schema),
        custom=True,
        other_versions=definition.other_versions,
    )


def _core(kind: str, plural: str, *short_names: str, **more: Any) -> Kind:
    defaults: dict[str, Any] = {
        "group": "",
        "version": "v1",
        "singular": kind.lower(),
        "columns": columns.BUILT_IN[kind],
        "schema": _with_metadata(_SCHEMAS[kind]),
    }
    return Kind(kind=kind, plural=plural, short_names=short_names, **{**defaults, **more})


def _with_metadata(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that knows the fields of metadata, and what a definition says of them beyond that (name patterns)."""
    said = schema["properties"].get("metadata", {}).get("properties", {})
    common = _SCHEMAS["ObjectMeta"]["properties"]
    metadata = {**_SCHEMAS["ObjectMeta"], "properties": {**common, **said}}
    return {**schema, "properties": {**schema["properties"], "metadata": metadata}}


_HERE = Path(__file__).parent
_SCHEMAS = crds.read_yaml(_HERE / "built_in_schemas.yaml")
_BUILT_IN = (
    _core("Namespace", "namespaces", "ns", namespaced=False, has_status=True),
    _core("ConfigMap", "configmaps", "cm"),
    _core("Secret", "secrets"),
    _core("Event", "events", "ev"),
    _core("Pod", "pods", "po", categories=("all",), has_status=True, is_view=True),
    _core("Service", "services", "svc", categories=("all",), has_status=True, is_view=True),
    _core("Deployment", "deployments", "deploy", group="apps", categories=("all",), has_status=True, is_view=True),
    _core("ServiceAccount", "serviceaccounts", "sa"),
    _core("Lease", "leases", group="coordination.k8s.io"),
    _core(
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "hpa",
        group="autoscaling",
        version="v2",
        categories=("all",),
        has_status=True,
        is_view=True,
    ),
)
_CUSTOM = tuple(
    _custom(path) for path in (*sorted((_HERE / "crd").glob("*.yaml")), _HERE.parent / "kube/crd/turnouts.yaml")
)

KINDS: dict[str, Kind] = {kind.kind: kind for kind in (*_BUILT_IN, *_CUSTOM)}
