"""From the text of model.yaml to a ModelSpec, or to one error that lists every mistake with its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from turnout.errors import SpecError
from turnout.kube.turnouts import Policy
from turnout.spec import estimators, rules, text
from turnout.spec.fields import LIST, MAPPING
from turnout.spec.model import ModelSpec
from turnout.spec.text import Document, Problem, Unreadable

__all__ = ["json_schema", "load", "loads"]

# pydantic's words for what people meet most; the rest it says well enough itself.
_WORDS = {
    "missing": "is missing",
    "string_type": "text was wanted",
    "bool_type": "true or false was wanted",
    "int_type": "a whole number was wanted",
    "float_type": "a number was wanted",
    "dict_type": "a mapping was wanted",
    "tuple_type": "a list was wanted",
    "model_type": "a mapping was wanted",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


def load(path: Path, *, data_root: Path | None = None, deep: bool = True) -> ModelSpec:
    """The spec in a file, source paths made absolute below `data_root` or else below the file's folder.

    Raises:
        SpecError: the file is missing or wrong; every mistake with its line.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SpecError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise SpecError(f"{path}: a folder; name the model.yaml in it") from error
    except PermissionError as error:
        raise SpecError(f"{path}: may not be read") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    return loads(content, origin=str(path), data_root=data_root or path.parent, deep=deep)


def loads(content: str, *, origin: str = "model.yaml", data_root: Path | None = None, deep: bool = True) -> ModelSpec:
    """The spec in a text; `origin` is how errors call it.

    `deep` asks scikit-learn about estimators and their parameters, which costs its import; a step that got its spec
    from a run, where that was done, need not.

    Raises:
        SpecError: every mistake with its line.
    """
    try:
        document = text.read(content)
    except Unreadable as error:
        raise _refuse(origin, [f"{origin}:{error.line}:{error.column}: {error}"]) from error
    data = document.data
    if not isinstance(data, dict):
        found = "nothing" if data is None else f"a {type(data).__name__}"
        raise _refuse(origin, [f"{origin}:1: a mapping with name, sources, label and so on was wanted, found {found}"])
    problems = [*document.problems, *_mistakes(data, deep=deep)]
    if problems:
        raise _refuse(origin, _lines(problems, document, origin))
    spec = ModelSpec.model_validate(data)
    return spec.rooted(data_root) if data_root else spec


def json_schema() -> dict[str, Any]:
    """The JSON schema of model.yaml, for editors."""
    schema = ModelSpec.model_json_schema()
    rollout = Policy.model_json_schema(by_alias=True)
    schema.setdefault("$defs", {}).update(rollout.pop("$defs", {}), Policy=rollout)
    schema["properties"]["rollout"] = {"$ref": "#/$defs/Policy"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "model.yaml"}


def _mistakes(data: dict[str, Any], *, deep: bool) -> Iterator[Problem]:
    yield from _of_type(ModelSpec, data, ())
    yield from rules.check(data)
    if isinstance(data.get("rollout"), dict):
        yield from _of_type(Policy, data["rollout"], ("rollout",))
    if deep:
        yield from estimators.check(data)


def _of_type(model: type[BaseModel], data: dict[str, Any], prefix: text.Path) -> Iterator[Problem]:
    try:
        model.model_validate(data)
    except ValidationError as error:
        for mistake in error.errors(include_url=False):
            if mistake["type"] != "default_factory_not_called":
                yield Problem((*prefix, *_plain(mistake["loc"])), _say(dict(mistake), model))


def _plain(location: tuple[int | str, ...]) -> text.Path:
    """Without the marks for a mapping's key and for the form of a field that may have either of two."""
    return tuple(part for part in location if part not in ("[key]", LIST, MAPPING))


def _say(mistake: dict[str, Any], model: type[BaseModel]) -> str:
    kind, found = mistake["type"], mistake["input"]
    if kind == "missing":
        return _WORDS[kind]
    if kind == "extra_forbidden":
        return f"no such field{rules.did_you_mean(str(mistake['loc'][-1]), _fields(model))}"
    if kind == "literal_error":
        return _unknown(mistake["ctx"]["expected"], found)
    if kind == "string_pattern_mismatch":
        return f"'{found}' is no name; lower-case letters, digits and '-' were wanted"
    if kind == "value_error":
        return str(mistake["ctx"]["error"])
    words = _WORDS.get(kind) or _lower(mistake["msg"])
    return words if kind in {"too_short", "string_too_short"} else f"{words}, found {_short(found)}"


def _unknown(expected: str, found: Any) -> str:
    known = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    near = rules.did_you_mean(found, known) if isinstance(found, str) else ""
    return f"{_short(found)} is not one of {', '.join(known)}{near}"


def _fields(model: type[BaseModel]) -> list[str]:
    """Every field name of the model and its blocks: a misspelt field is near its right name wherever it stands."""
    schema = model.model_json_schema(by_alias=True)
    blocks = [schema, *schema.get("$defs", {}).values()]
    return sorted({name for block in blocks for name in block.get("properties", {})})


def _short(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 60 else f"{words[:57]}..."


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _lines(problems: list[Problem], document: Document, origin: str) -> list[str]:
    ordered = sorted(problems, key=lambda problem: document.line(problem.path))
    found = [f"{origin}:{document.line(p.path)}: {text.spell(p.path)}: {p.message}" for p in ordered]
    return list(dict.fromkeys(found))


def _refuse(origin: str, problems: list[str]) -> SpecError:
    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    return SpecError(f"{origin} cannot be used: {count}", problems=tuple(problems))
