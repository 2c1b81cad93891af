"""What an exported program may hold: weights, and a graph of torch's own operators on tensors.

torch.export.load unpickles objects, evaluates texts as Python and looks operators up by any name in
torch. All of that is data in the file, so that a file that was made for the purpose runs any code.
What this package writes needs none of it, and everything else is refused before torch sees it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyxem_cnn.model.test_tensors import ModelFileError

if TYPE_CHECKING:
    import torch

__all__ = ["GRAPH", "check_program"]

GRAPH = "models/model.json"
"""The member that holds the graph, as JSON."""
_SAMPLE_INPUTS = "data/sample_inputs/model.pt"
_CONFIGS = (
    "data/weights/model_weights_config.json",
    "data/constants/model_constants_config.json",
)
_NEEDED = {GRAPH, _SAMPLE_INPUTS, *_CONFIGS, "archive_format", "archive_version"}
_TENSOR = re.compile(r"data/(weights/weight|constants/tensor)_\d+")
_OTHERS = {"byteorder", ".data/version", ".data/serialization_id"}

# Names of nodes and tensors become Python source, so that they must be names.
_WORD = re.compile(r"[\w.+\- ]*", re.ASCII)
_PRINTABLE = re.compile(r"[ -~]*")
# Of symbolic sizes: these functions, symbols such as s0, and numbers.
_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|'[^']*'|\d+|.)", re.ASCII)
_SYMBOL = re.compile(r"'[su]\d+'|\d+|[(),=+\-*]", re.ASCII)
_FUNCTIONS = frozenset(
    "Symbol Integer Mul Add Pow Max Min Mod PythonMod FloorDiv CleanDiv CeilDiv Eq Ne Ge Gt Le Lt "
    "Equality Unequality "  # codespell:ignore
    "GreaterThan StrictGreaterThan LessThan StrictLessThan And Or Not "
    "positive nonnegative integer True False".split()
)
_ATEN = re.compile(r"torch\.ops\.aten\.((?!__)\w+)\.((?!__)\w+)", re.ASCII)
_ON_SIZES = re.compile(
    r"_operator\.(add|sub|mul|floordiv|mod|neg|pow|getitem|lt|le|gt|ge|eq|ne|and_|or_|not_)"
    r"|torch\.sym_(max|min|int|float|not|sum)"
)
# An operator that takes another text, such as the name of a file, does more than compute.
_TEXTS = {"approximate", "assert_msg", "equation", "indexing", "mode", "padding_mode", "reduce"}
_TEXTS |= {"norm", "reduction", "rounding_mode"}
_CODE = {"as_custom_obj", "as_graph", "as_operator", "as_opaque"}
_UNREADABLE = (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError)
_CONTAINERS = {"builtins.tuple", "builtins.list", "builtins.dict"}


def check_program(members: Mapping[str, bytes], source: str) -> None:
    """Raise unless an archive holds nothing but tensors and a graph of torch's operators.

    Parameters
    ----------
    members
        Content by name, without the archive's leading folder.
    source
        How messages call it.

    Raises
    ------
    ModelFileError
        If it holds anything else; the message says what.
    """
    missing = sorted(_NEEDED - set(members))
    if missing:
        raise ModelFileError(
            f"{source} lacks {missing}: the archives of other versions of torch are laid out "
            "otherwise. Use the model's .pt file, and write it again with this version."
        )
    for name in members:
        if name not in _NEEDED | _OTHERS and not _TENSOR.fullmatch(name):
            _refuse(source, f"the member {name!r}")
    if members[_SAMPLE_INPUTS]:
        _refuse(source, "pickled sample inputs")
    try:
        # As torch reads it; json alone would find out other encodings than UTF-8.
        texts = {name: members[name].decode() for name in (GRAPH, *_CONFIGS)}
        for name in _CONFIGS:
            _check_tensors(name.split("/")[1], json.loads(texts[name]), source)
        graph = json.loads(texts[GRAPH])
        if graph["guards_code"]:
            _refuse(source, "Python code of guards")
        _check(graph, "", source)
    except _UNREADABLE as error:
        raise ModelFileError(f"The network of {source} cannot be read: {error!r}.") from error


def _check_tensors(kind: str, config: dict[str, Any], source: str) -> None:
    """Check where "weights" or "constants" are stored: as numbers, not pickled."""
    for entry in config["config"].values():
        if entry["use_pickle"] or not _TENSOR.fullmatch(f"data/{kind}/{entry['path_name']}"):
            _refuse(source, "pickled tensors or objects")
    _check(config, "", source)


def _check(value: Any, key: str, source: str) -> None:
    """Check every text in a JSON value that stands under a key."""
    if isinstance(value, dict):
        for name, entry in value.items():
            if name in _CODE or not _WORD.fullmatch(name):
                _refuse(source, f"an entry {name!r}")
            _check(entry, name, source)
    elif isinstance(value, list):
        for entry in value:
            _check(entry, key, source)
    elif isinstance(value, str):
        is_good = _RULES.get(key, _is_word)
        if not is_good(value):
            _refuse(source, f"{key} = {value[:80]!r}")


def _is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def _is_printable(text: str) -> bool:
    return _PRINTABLE.fullmatch(text) is not None


def _is_size(text: str) -> bool:
    """Return whether a text is arithmetic of symbolic sizes."""
    tokens = _TOKEN.findall(text)
    return all(token in _FUNCTIONS or _SYMBOL.fullmatch(token) for token in tokens)


def _is_structure(text: str) -> bool:
    """Return whether a text describes nested tuples, lists and dictionaries with plain keys."""
    return _is_printable(text) and _is_plain_structure(json.loads(text))


def _is_plain_structure(value: Any) -> bool:
    """Return whether a description of a structure names no other types than Python's own."""
    if isinstance(value, list):
        return all(_is_plain_structure(entry) for entry in value)
    if not isinstance(value, dict):
        return isinstance(value, int)
    if value.get("type") not in _CONTAINERS | {None}:
        return False
    keys = json.loads(value["context"] or "null")
    keys = [] if keys is None else keys
    if not isinstance(keys, list) or not all(isinstance(k, str) and _is_word(k) for k in keys):
        return False
    return all(_is_plain_structure(entry) for entry in value["children_spec"])


def _is_operator(name: str) -> bool:
    """Return whether a node's target is an operator of torch on tensors, or on sizes."""
    if _ON_SIZES.fullmatch(name):
        return True
    named = _ATEN.fullmatch(name)
    operator = None if named is None else _aten_operator(*named.groups())
    if operator is None:
        return False
    texts = {a.name for a in operator._schema.arguments if "str" in str(a.type)}
    return texts <= _TEXTS


def _aten_operator(name: str, overload: str) -> torch._ops.OpOverload | None:
    """Return one of torch's own operators, None if there is no such one."""
    import torch

    operator = getattr(getattr(torch.ops.aten, name, None), overload, None)
    return operator if isinstance(operator, torch._ops.OpOverload) else None


_RULES = {
    "target": _is_operator,
    "expr_str": _is_size,
    "in_spec": _is_structure,
    "out_spec": _is_structure,
    "as_string": _is_printable,
}


def _refuse(source: str, what: str) -> None:
    raise ModelFileError(
        f"{source} holds {what}, which a network that this package exports does not. torch might "
        "run it as a program, so that it was not loaded."
    )
