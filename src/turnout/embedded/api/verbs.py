"""The verbs that write: create, update, patch, apply, delete, deletecollection.

Each builds the new object inside one transaction of the store, so that two writers never lose each other's change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from turnout.embedded.api import (
    apply,
    errors,
    managers,
    metadata,
    options,
    patches,
    reading,
    schemas,
    selectors,
    writing,
)
from turnout.embedded.api.bodies import Body, decode, go_json_error, read_json, read_yaml
from turnout.embedded.api.built_in import check_encoding
from turnout.embedded.api.calls import Call, Reply
from turnout.embedded.api.errors import ApiError
from turnout.embedded.api.managers import Manager
from turnout.embedded.api.options import DeleteOptions, WriteOptions
from turnout.embedded.kinds import KINDS, Kind
from turnout.embedded.store import AlreadyExists, Stale, Store
from turnout.errors import NotFound

__all__ = ["handle"]

Object = dict[str, Any]

_JSON, _MERGE = "application/json-patch+json", "application/merge-patch+json"
_STRATEGIC, _APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
_FINALIZERS = {"Foreground": ("foregroundDeletion",), "Orphan": ("orphan",)}
_KEPT_NAMESPACES = ("default", "kube-system")


def handle(store: Store, call: Call) -> Reply:
    """Do what a request to a resource asks for.

    Raises:
        ApiError: it is refused.
    """
    target = call.target
    _check_subresource(call)
    if call.method == "GET":
        return reading.listed(store, call) if target.name is None else reading.get(store, call)
    if target.kind.is_view and target.name is None and call.method == "POST":
        raise _only_a_view(call)
    verb = _VERBS.get((call.method, target.name is not None))
    if verb is None or target.served.view is not None or (call.method == "POST" and _namespace_missing(call)):
        raise errors.method_not_allowed()
    shape = reading.shape_of(call)  # one that there is not is refused before anything is written
    try:
        return reading.shaped(call, verb(store, call), shape)
    except NotFound as problem:
        raise errors.not_found(target.kind, target.name or "") from problem
    except Stale as problem:
        raise errors.conflict(target.kind, target.name or "", str(problem)) from problem


def _only_a_view(call: Call) -> ApiError:
    plural = call.target.kind.plural
    text = f"the engine makes {plural} itself, from InferenceServices; this engine runs nothing else"
    return errors.forbidden(
        f"{call.target.kind.resource} is forbidden: {text}", details=errors.about(call.target.kind, "")
    )


def _namespace_missing(call: Call) -> bool:
    return call.target.kind.namespaced and call.target.namespace is None


def _check_subresource(call: Call) -> None:
    target = call.target
    if target.subresource is None or _is_finalize(call):
        return
    if target.subresource != "status":
        raise errors.not_found(target.kind, target.name or "") if target.kind.custom else errors.no_resource()
    if not target.kind.has_status:
        # A definition without status still has the path in Kubernetes, and says that the object is not there.
        raise errors.not_found(target.kind, target.name or "") if target.kind.custom else errors.no_resource()
    if call.method not in ("GET", "PUT", "PATCH"):
        verb = {"POST": "create", "DELETE": "delete"}.get(call.method)
        if verb is None or not target.kind.custom:
            raise errors.method_not_allowed()
        text = f'{verb} is not supported on resources of kind "{target.kind.resource}"'
        raise ApiError(405, text, reason="MethodNotAllowed", details=errors.about(target.kind, ""))


def _is_finalize(call: Call) -> bool:
    """The way to let go of a namespace: it alone writes its spec."""
    target = call.target
    return (target.kind.kind, target.subresource, call.method) == ("Namespace", "finalize", "PUT")


def _manager(call: Call, chosen: WriteOptions, operation: str) -> Manager:
    name = managers.name_of(chosen.field_manager, call.headers.get("user-agent", ""))
    return Manager(operation, name, call.target.served.api_version, call.target.subresource or "")


def _create(store: Store, call: Call) -> Reply:
    chosen = options.write_options("CreateOptions", call.query)
    target, body = call.target, writing.body_of(call)
    call.warnings.extend(writing.strict(target, writing.field_faults(target.kind, body), chosen.field_validation))
    obj = writing.check_identity(target, body.value)
    if obj["metadata"].get("resourceVersion"):
        raise ApiError(500, "resourceVersion should not be set on objects to be created")
    if not obj["metadata"].get("name") and obj["metadata"].get("generateName"):
        obj["metadata"]["name"] = metadata.generated_name(str(obj["metadata"]["generateName"]))
    created = _store_new(store, call, obj, chosen)
    return Reply(201, target.served.present(created))


def _store_new(store: Store, call: Call, obj: Object, chosen: WriteOptions) -> Object:
    target, name = call.target, str(obj["metadata"].get("name", ""))
    writing.check_namespace(store, target, name)
    if target.kind.has_status and target.kind.custom:
        obj = {key: value for key, value in obj.items() if key != "status"}
    admitted = writing.admit(store, target, obj, current=None)
    managed = managers.after_update(target.kind, None, admitted, manager=_manager(call, chosen, "Update"))
    try:
        return store.create(target.kind.kind, managed, dry_run=chosen.dry_run)
    except AlreadyExists as problem:
        raise errors.already_exists(target.kind, name, is_dying="being deleted" in str(problem)) from problem


def _update(store: Store, call: Call) -> Reply:
    chosen = options.write_options("UpdateOptions", call.query)
    target, body = call.target, writing.body_of(call)
    call.warnings.extend(writing.strict(target, writing.field_faults(target.kind, body), chosen.field_validation))
    wanted = writing.check_identity(target, body.value)

    def change(current: Object) -> Object:
        if target.kind.needs_version and not wanted["metadata"].get("resourceVersion"):
            cause = errors.invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise _invalid_update(call, cause)
        _check_preconditions(call, current, wanted)
        return _updated(store, call, current, wanted, chosen)

    return Reply(200, target.served.present(_mutate(store, call, change, chosen)))


def _invalid_update(call: Call, cause: errors.Cause) -> ApiError:
    """Kubernetes words this one fault with the resource's name instead of the kind's."""
    error = errors.invalid(call.target.kind, call.target.name or "", [cause])
    kind = call.target.kind
    text = str(error).replace(f"{kind.kind}.{kind.group} ", f"{kind.resource} ", 1)
    details = {**error.body["details"], "kind": kind.plural}
    return ApiError(422, text, reason="Invalid", details=details)


def _check_preconditions(call: Call, current: Object, wanted: Object) -> None:
    """Refuse to look closer at an object that is a new version of something else."""
    found, now = wanted["metadata"], current["metadata"]
    if found.get("resourceVersion") and found["resourceVersion"] != now["resourceVersion"]:
        text = "the object has been modified; please apply your changes to the latest version and try again"
        raise errors.conflict(call.target.kind, now["name"], text)
    if call.method == "PUT" and found.get("uid") and found["uid"] != now["uid"]:
        text = f"Precondition failed: UID in precondition: {found['uid']}, UID in object meta: {now['uid']}"
        raise errors.conflict(call.target.kind, now["name"], text)


def _updated(store: Store, call: Call, current: Object, wanted: Object, chosen: WriteOptions) -> Object:
    """The object that an update or patch stores: the part that the path writes is the client's, the rest as it is."""
    target = call.target
    if _is_finalize(call):
        kept = (wanted.get("spec") or {}).get("finalizers")
        return {**current, "spec": {"finalizers": kept} if kept else {}}
    admitted = writing.admit(store, target, _only_written(call, current, wanted), current=current)
    return managers.after_update(target.kind, current, admitted, manager=_manager(call, chosen, "Update"))


def _only_written(call: Call, current: Object, wanted: Object) -> Object:
    if call.target.subresource == "status":
        kept = {key: value for key, value in current.items() if key != "status"}
        kept["metadata"] = {**current["metadata"], **_given(wanted, "managedFields", "resourceVersion")}
        return {**kept, **({"status": wanted["status"]} if "status" in wanted else {})}
    if not call.target.kind.has_status:
        return wanted
    kept = {key: value for key, value in wanted.items() if key != "status"}
    return {**kept, **({"status": current["status"]} if "status" in current else {})}


def _given(wanted: Object, *keys: str) -> Object:
    return {key: wanted["metadata"][key] for key in keys if key in wanted["metadata"]}


def _mutate(store: Store, call: Call, change: Callable[[Object], Object], chosen: WriteOptions) -> Object:
    target = call.target
    return store.mutate(
        target.kind.kind,
        target.name or "",
        target.namespace,
        change,
        status=target.subresource == "status",
        dry_run=chosen.dry_run,
    )


def _patch(store: Store, call: Call) -> Reply:
    content_type = call.headers.get("content-type", "").partition(";")[0].strip()
    _check_patch_type(call, content_type)
    chosen = options.write_options("PatchOptions", call.query, is_apply=content_type == _APPLY)
    if content_type == _APPLY:
        return _apply(store, call, chosen)
    store.get(
        call.target.kind.kind, call.target.name or "", call.target.namespace
    )  # a missing object before a bad patch
    body = _read_patch(call)

    def change(current: Object) -> Object:
        patched = _patched(call, content_type, current, body)
        faults = writing.field_faults(call.target.kind, Body(value=patched, doubled=body.doubled))
        if chosen.field_validation == "Strict" and faults:
            raise errors.invalid_patch(patched, f"strict decoding error: {', '.join(faults)}")
        call.warnings[:] = faults if chosen.field_validation == "Warn" else []
        wanted = writing.check_identity(call.target, patched)
        _check_preconditions(call, current, wanted)
        return _updated(store, call, current, wanted, chosen)

    return Reply(200, call.target.served.present(_mutate(store, call, change, chosen)))


def _check_patch_type(call: Call, content_type: str) -> None:
    accepted = [_JSON, _MERGE, _APPLY] if call.target.kind.custom else [_JSON, _MERGE, _STRATEGIC, _APPLY]
    if content_type in accepted:
        return
    if call.target.kind.custom:
        raise errors.unsupported_media_type(accepted)
    raise ApiError(415, "415: Unsupported Media Type", reason="UnsupportedMediaType", details={})


def _read_patch(call: Call) -> Body:
    try:
        return read_json(call.body)
    except ValueError as problem:
        raise errors.bad_request(f"error decoding patch: {go_json_error(call.body)}") from problem


def _patched(call: Call, content_type: str, current: Object, body: Body) -> Object:
    target = call.target
    shown = target.served.present(current)
    if content_type == _JSON:
        patched = patches.json_patch(shown, body.value)
    elif body.value is None:
        raise errors.bad_request("Invalid JSON Patch")
    elif not isinstance(body.value, dict):
        message = writing.not_an_object(body.value, "map[string]interface {}")
        raise errors.bad_request(message if content_type == _STRATEGIC else f"error decoding patch: {message}")
    elif content_type == _MERGE:
        patched = patches.merge_patch(shown, body.value)
    else:
        patched = patches.strategic_merge_patch(target.kind.schema, shown, body.value)
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise errors.bad_request(
            f"the name of the object ({target.name} based on URL) was undeterminable: name must be provided"
        )
    _check_same_kind(call, patched)
    wrong = None if target.kind.custom else writing.first_wrong_type(target, schemas.prune(target.kind.schema, patched))
    if wrong is not None:
        raise errors.invalid_patch(patched, writing.undecodable(target.kind, wrong))
    _check_encoding(target.kind, patched)
    return patched


def _check_encoding(kind: Kind, patched: Object) -> None:
    """Refuse a patch that leaves something that is no base64 where it must be."""
    try:
        check_encoding(kind, patched)
    except ApiError as problem:
        raise errors.invalid_patch(patched, str(problem).rpartition(": ")[2]) from problem


def _check_same_kind(call: Call, patched: Object) -> None:
    """Refuse a patch that turns an object into one of another kind."""
    target, named, version = call.target, patched.get("kind"), patched.get("apiVersion")
    if (named, version) == (target.kind.kind, target.served.api_version):
        return
    if isinstance(named, str) and named in KINDS and not target.kind.custom:
        _check_encoding(KINDS[named], patched)  # Kubernetes decodes it as what it claims to be
    if isinstance(named, str) and isinstance(version, str) and not target.kind.custom:
        raise errors.invalid_patch(patched, writing.not_convertible(target.kind, named, version))
    text = f"the API version and kind of the object ({version}, {named}) do not match those of the path"
    raise errors.bad_request(f"{text} ({target.served.api_version}, {target.kind.kind})")


def _apply(store: Store, call: Call, chosen: WriteOptions) -> Reply:
    target, config = call.target, _configuration(call)
    manager = _manager(call, chosen, "Apply")

    def change(current: Object) -> Object:
        shown = target.served.present(current)
        merged = apply.apply(target.kind, shown, config, manager=manager, force=chosen.force)
        _check_preconditions(call, current, merged)
        return writing.admit(store, target, _only_written(call, current, merged), current=current, is_applied=True)

    for _ in range(3):
        try:
            return Reply(200, target.served.present(_mutate(store, call, change, chosen)))
        except NotFound:
            if target.subresource is not None:
                raise
        try:
            return Reply(201, target.served.present(_apply_new(store, call, config, manager, chosen)))
        except AlreadyExists:
            continue  # somebody created it in between: now there is something to merge with
    raise errors.conflict(target.kind, target.name or "", "the object comes and goes; try again")


def _apply_new(store: Store, call: Call, config: Object, manager: Manager, chosen: WriteOptions) -> Object:
    target = call.target
    if config["metadata"].get("uid"):
        given = config["metadata"]["uid"]
        text = f"uid mismatch: the provided object specified uid {given}, and no existing object was found"
        raise errors.conflict(target.kind, target.name or "", text)
    writing.check_namespace(store, target, target.name or "")
    new = apply.apply(target.kind, None, config, manager=manager, force=chosen.force)
    if target.kind.has_status and target.kind.custom:
        new = {key: value for key, value in new.items() if key != "status"}
    admitted = writing.admit(store, target, new, current=None, is_applied=True)
    return store.create(target.kind.kind, admitted, dry_run=chosen.dry_run)


def _configuration(call: Call) -> Object:
    """The applied configuration, of the right kind and name and with known fields only."""
    target, config = call.target, read_yaml(call.body).value
    if config is None:
        config = {}
    if not isinstance(config, dict):
        message = writing.not_an_object(config, "map[string]interface {}")
        raise errors.bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {message}")
    version, named = str(config.get("apiVersion") or ""), str(config.get("kind") or "")
    if (version, named) != (target.served.api_version, target.kind.kind):
        group, _, number = version.rpartition("/")
        raise errors.bad_request(f"invalid object type: {group}/{number}, Kind={named}")
    if not isinstance(config.get("metadata"), dict):
        config = {**config, "metadata": {}}
    apply.check_configuration(target.kind, config)
    # What the path does not write is not its applier's either.
    ignored = "" if not target.kind.has_status else "status" if target.subresource is None else "spec"
    return writing.check_identity(target, {key: value for key, value in config.items() if key != ignored})


def _delete(store: Store, call: Call) -> Reply:
    target = call.target
    chosen = options.delete_options(call.query, _delete_body(call))
    name = target.name or ""
    if target.kind.kind == "Namespace" and name in _KEPT_NAMESPACES:
        details = errors.about(target.kind, name)
        raise errors.forbidden(f'namespaces "{name}" is forbidden: this namespace may not be deleted', details=details)
    try:
        last = store.delete(
            target.kind.kind,
            name,
            target.namespace,
            uid=chosen.uid,
            resource_version=chosen.resource_version,
            finalizers=_FINALIZERS.get(chosen.propagation, ()),
            dry_run=chosen.dry_run,
        )
    except Stale as problem:
        raise _unmet(store, call, chosen) from problem
    if "deletionTimestamp" in last["metadata"]:
        return Reply(200, target.served.present(last))
    details = {**errors.about(target.kind, name), "uid": last["metadata"]["uid"]}
    return Reply(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})


def _unmet(store: Store, call: Call, chosen: DeleteOptions) -> ApiError:
    """A deletion whose preconditions do not hold."""
    target, name = call.target, call.target.name or ""
    record = store.get(target.kind.kind, name, target.namespace)["metadata"]
    if chosen.uid and chosen.uid != record["uid"]:
        field, given, found, more = "UID", str(chosen.uid), record["uid"], "deleted and then recreated"
    else:
        given, found = str(chosen.resource_version), record["resourceVersion"]
        field, more = "ResourceVersion", "modified"
    text = (
        f"the {field} in the precondition ({given}) does not match the {field} in record ({found}). "
        f"The object might have been {more}"
    )
    prefix = f'Operation cannot be fulfilled on {target.kind.kind} "{name}": '
    return ApiError(409, prefix + text, reason="Conflict", details={"name": name, "kind": target.kind.kind})


def _delete_body(call: Call) -> Any:
    if not call.body.strip():
        return None
    try:
        return decode(call.body, call.headers.get("content-type", "")).value
    except ValueError as problem:
        raise errors.bad_request(
            f"couldn't get version/kind; json parse error: {go_json_error(call.body)}"
        ) from problem


def _delete_collection(store: Store, call: Call) -> Reply:
    target = call.target
    if target.kind.kind == "Namespace" or (target.kind.namespaced and target.namespace is None):
        raise errors.method_not_allowed()
    chosen = options.delete_options(call.query, _delete_body(call))
    selector = selectors.of_request(target.kind, call.flat_query)
    snapshot = store.snapshot(target.kind.kind, target.namespace)
    gone = []
    for obj in snapshot.objects:
        if selector.selects(obj):
            try:
                gone.append(
                    store.delete(
                        target.kind.kind,
                        obj["metadata"]["name"],
                        target.namespace,
                        uid=chosen.uid,
                        resource_version=chosen.resource_version,
                        finalizers=_FINALIZERS.get(chosen.propagation, ()),
                        dry_run=chosen.dry_run,
                    )
                )
            except Stale as problem:
                named = replace(call, target=replace(target, name=obj["metadata"]["name"]))
                raise _unmet(store, named, chosen) from problem
            except NotFound:
                continue  # somebody else deleted it meanwhile, which is what was asked for
    version = {"resourceVersion": str(store.resource_version)}
    return Reply(200, reading.list_of(target.served, gone, version))


_VERBS: dict[tuple[str, bool], Callable[[Store, Call], Reply]] = {
    ("POST", False): _create,
    ("PUT", True): _update,
    ("PATCH", True): _patch,
    ("DELETE", True): _delete,
    ("DELETE", False): _delete_collection,
}
