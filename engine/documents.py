"""Cold documents (network, patches): JSON bytes to a typed value, or every fault at once with its JSON path.

The hot path decodes orders straight with msgspec and reports the first fault; documents that a person writes are read
twice, so that one answer names all that is wrong with them.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, NoReturn, TypeVar, get_args, get_origin

import msgspec

from engine.errors import Fault, InvalidInputError

FAULTS_MAX = 100
"""The most faults that one answer names."""

LEVELS_MAX = 32
"""How deep a document may nest; ours need six levels."""

T = TypeVar("T")


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys came more than once."""

    repeated: tuple[str, ...] = ()


def refuse(detail: str, faults: list[Fault]) -> NoReturn:
    """Raise InvalidInputError with at most `FAULTS_MAX` of the faults."""
    raise InvalidInputError(detail, faults[:FAULTS_MAX])


def decode(body: bytes, kind: type[T], name: str) -> T:
    """The document as `kind`. Raises InvalidInputError; syntax and UTF-8 faults name the byte, others their path."""
    if (sound := _sound(body, kind)) is not None:
        return sound
    tree = parse(body, name)
    try:
        value = msgspec.convert(tree, kind)
    except msgspec.ValidationError:
        refuse(f"The {name} does not have the documented form.", structural_faults(tree, kind))
    return value


def parse(body: bytes, name: str) -> Any:
    """JSON bytes as plain values; duplicate keys are refused. Raises InvalidInputError."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        refuse(f"The {name} is not UTF-8.", [Fault("$", f"not UTF-8 (byte {error.start})")])
    try:
        tree = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        byte = len(text[: error.pos].encode())
        refuse(f"The {name} is not JSON.", [Fault("$", f"malformed JSON: {error.msg} (byte {byte})")])
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else f"malformed JSON: {error}"
        refuse(f"The {name} is not JSON.", [Fault("$", reason)])
    if faults := _content_faults(tree, "$", LEVELS_MAX):
        refuse(f"The {name} has duplicate keys, broken characters or too many levels.", faults)
    return tree


def _sound(body: bytes, kind: type[T]) -> T | None:
    """The document if nothing is wrong with it, at a fraction of what it costs to find out what is; else None."""
    keys = 0

    def count(pairs: list[tuple[str, Any]]) -> None:
        nonlocal keys
        keys += len(pairs) - len(dict(pairs))

    try:
        value = msgspec.json.decode(body, type=kind)
        json.loads(body, object_pairs_hook=count)
    except (ValueError, RecursionError):
        return None
    return value if keys == 0 else None


def structural_faults(tree: Any, kind: Any, path: str = "$") -> list[Fault]:
    """Every place where `tree` is not of the type `kind`; empty if it is."""
    try:
        msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        return _inner_faults(tree, kind, path) or [fault_of(error, path)]
    return []


def _inner_faults(tree: Any, kind: Any, path: str) -> list[Fault]:
    """Faults of the parts of a struct or list, found part by part because the decoder stops at its first."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(tree, list) and get_origin(kind) is list:
        (inner,) = get_args(kind)
        return [fault for i, part in enumerate(tree) for fault in structural_faults(part, inner, f"{path}[{i}]")]
    if isinstance(tree, dict) and get_origin(kind) is dict:
        _, inner = get_args(kind)
        return [
            fault for key, part in tree.items() for fault in structural_faults(part, inner, f"{path}.{_shown(key)}")
        ]
    if not (isinstance(tree, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return []
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    faults = [Fault(f"{path}.{_shown(key)}", "unknown field") for key in tree if key not in fields]
    for name, field in fields.items():
        if name in tree:
            faults += structural_faults(tree[name], field.type, f"{path}.{name}")
        elif field.required:
            faults.append(Fault(f"{path}.{name}", "required field is missing"))
    return faults


def fault_of(error: msgspec.ValidationError, path: str) -> Fault:
    """What msgspec says of a value that stands at `path`, at the place below it."""
    reason, _, where = str(error).partition(" - at `")
    return Fault(path + where.rstrip("`").removeprefix("$"), reason)


def merge(target: Any, patch: dict[str, Any], removed_nothing: list[str], path: str = "$") -> dict[str, Any]:
    """A JSON merge patch (RFC 7396): null removes a field. `removed_nothing` gets the paths where there was none."""
    merged: dict[str, Any] = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            if key not in merged:
                removed_nothing.append(f"{path}.{key}")
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge(merged.get(key), value, removed_nothing, f"{path}.{key}")
        else:
            merged[key] = value
    return merged


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        result.repeated = tuple(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _content_faults(tree: Any, path: str, levels: int) -> list[Fault]:
    """Keys that come twice, and text that is no text: half a surrogate pair can be escaped, but never written again."""
    if levels == 0 and isinstance(tree, (list, dict)):
        return [Fault(path, "nested too deeply")]
    if isinstance(tree, list):
        return [fault for i, part in enumerate(tree) for fault in _content_faults(part, f"{path}[{i}]", levels - 1)]
    if isinstance(tree, str):
        return [] if _is_text(tree) else [Fault(path, "half a surrogate pair")]
    if not isinstance(tree, _Object):
        return []
    faults = [Fault(f"{path}.{_shown(key)}", "duplicate key") for key in tree.repeated]
    for key, part in tree.items():
        if not _is_text(key):
            faults.append(Fault(f"{path}.{_shown(key)}", "half a surrogate pair"))
        faults += _content_faults(part, f"{path}.{_shown(key)}", levels - 1)
    return faults


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(key: str) -> str:
    """A key as it stands in a path: of bearable length, and printable."""
    return key[:64].encode("utf-8", "backslashreplace").decode()
