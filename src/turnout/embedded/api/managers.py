"""Who manages which fields: the entries of metadata.managedFields.

A manager is a name with an operation (Apply or Update), a version and perhaps a subresource. An update gives the fields
that it changes to its manager and takes them from everybody else; an apply is in `apply`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from turnout.embedded import objects
from turnout.embedded.api import fields
from turnout.embedded.api.fields import FieldSet
from turnout.embedded.kinds import Kind

__all__ = ["Managed", "Manager", "Managers", "after_update", "name_of", "read", "write"]

Object = dict[str, Any]

_NAME_MOST = 128


@dataclass(frozen=True, order=True)
class Manager:
    """The identity of one entry."""

    operation: str
    name: str
    api_version: str
    subresource: str = ""


@dataclass(frozen=True)
class Managed:
    """What an entry holds, and since when (empty: an apply that changed nothing)."""

    fields: FieldSet
    time: str = ""


Managers = dict[Manager, Managed]


def name_of(field_manager: str, user_agent: str) -> str:
    """The manager's name: what the request says, else the program in its User-Agent."""
    if field_manager:
        return field_manager
    name = "".join(char for char in user_agent.partition("/")[0] if char.isprintable())
    return name[:_NAME_MOST] or "unknown"


def read(obj: Object) -> Managers:
    """The entries of an object; entries that say nothing (`[{}]` resets them) are left out."""
    found: Managers = {}
    for entry in obj["metadata"].get("managedFields") or ():
        if entry.get("manager") and entry.get("operation"):
            manager = Manager(
                entry["operation"], entry["manager"], entry.get("apiVersion", ""), entry.get("subresource", "")
            )
            found[manager] = Managed(fields=fields.from_v1(entry.get("fieldsV1") or {}), time=entry.get("time", ""))
    return found


def write(obj: Object, managers: Managers) -> Object:
    """The object with these entries; managers without fields are dropped."""
    order = sorted(managers.items(), key=lambda item: (item[0].operation, item[1].time, item[0]))
    entries = [_entry(manager, managed) for manager, managed in order if managed.fields]
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if entries:
        metadata["managedFields"] = entries
    return {**obj, "metadata": metadata}


def _entry(manager: Manager, managed: Managed) -> dict[str, Any]:
    entry: dict[str, Any] = {"manager": manager.name, "operation": manager.operation, "apiVersion": manager.api_version}
    if managed.time:
        entry["time"] = managed.time
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": fields.to_v1(managed.fields)}
    return {**entry, "subresource": manager.subresource} if manager.subresource else entry


def after_update(kind: Kind, current: Object | None, new: Object, *, manager: Manager) -> Object:
    """An object after a create, update or patch, with the changed fields given to `manager`."""
    before = current or {"metadata": {}}
    if _resets(current, new):
        return write(new, {})
    # A client sends back what it read; but it may also have dropped managedFields, and then the stored ones hold.
    managers = read(new) if new["metadata"].get("managedFields") else read(before)
    written, removed = fields.changed(kind.schema, before, new)
    taken = written | removed
    held = {other: replace(managed, fields=managed.fields - taken) for other, managed in managers.items()}
    own = managers.get(manager, Managed(fields=FieldSet()))
    fields_now = (own.fields - removed) | written
    time = own.time if fields_now == own.fields and own.time else objects.now()
    held[manager] = Managed(fields=fields_now, time=time)
    return write(new, held)


def _resets(current: Object | None, new: Object) -> bool:
    """Whether the client takes all entries away, as Kubernetes lets it: with one empty entry."""
    return current is not None and new["metadata"].get("managedFields") == [{}]
