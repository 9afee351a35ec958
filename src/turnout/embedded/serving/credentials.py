"""What a storage initializer may know: the Secrets of a pod's ServiceAccount, as KServe turns them into environment."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from turnout.embedded.store import Store
from turnout.errors import NotFound

__all__ = ["of"]

Object = dict[str, Any]

_PREFIX = "serving.kserve.io/"
_BY_ANNOTATION = {
    "s3-usehttps": "S3_USE_HTTPS",
    "s3-verifyssl": "S3_VERIFY_SSL",
    "s3-region": "AWS_DEFAULT_REGION",
    "s3-usevirtualbucket": "S3_USER_VIRTUAL_BUCKET",
    "s3-useaccelerate": "S3_USE_ACCELERATE",
    "s3-useanoncredential": "awsAnonymousCredential",
    "s3-cabundle": "AWS_CA_BUNDLE",
}
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def of(pod: Object, store: Store) -> dict[str, str]:
    """The environment that the Secrets of the pod's ServiceAccount make; empty without one.

    Raises:
        NotFound: the pod names a ServiceAccount that does not exist.
    """
    found: dict[str, str] = {}
    for secret in _secrets(pod, store):
        data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
        if _KEYS[0] in data:
            found |= _s3(secret["metadata"].get("annotations") or {}, data)
        if "https-host" in data:
            found[f"{data['https-host']}-headers"] = data.get("headers") or "{}"
    return found


def _secrets(pod: Object, store: Store) -> Iterator[Object]:
    namespace, name = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName") or "default"
    try:
        account = store.get("ServiceAccount", name, namespace)
    except NotFound as error:
        if name == "default":
            return
        text = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise NotFound(text) from error
    for reference in account.get("secrets") or ():
        try:
            yield store.get("Secret", reference["name"], namespace)
        except NotFound:
            continue  # KServe goes on as well; what is missed is said by the object store


def _s3(annotations: Object, data: dict[str, str]) -> dict[str, str]:
    found = {key: data[key] for key in _KEYS if key in data}
    said = {key.removeprefix(_PREFIX): value for key, value in annotations.items() if key.startswith(_PREFIX)}
    found |= {name: said[key] for key, name in _BY_ANNOTATION.items() if said.get(key)}
    if endpoint := said.get("s3-endpoint"):
        scheme = "http" if said.get("s3-usehttps") == "0" else "https"
        found |= {"S3_ENDPOINT": endpoint, "AWS_ENDPOINT_URL": f"{scheme}://{endpoint}"}
    return found
