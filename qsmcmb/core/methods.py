"""Methods of a family: found by name, their options bound from their signatures, described in words."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from qsmcmb.core.references import Reference
from qsmcmb.errors import ConfigError

__all__ = (
    "Description",
    "bound_options",
    "call_method",
    "load",
    "option_names",
    "resolve",
)


@dataclass(frozen=True, kw_only=True)
class Description:
    """A method, or a part of a fit, as a methods section describes it.

    Parameters
    ----------
    name : str
        Its name in the literature; occurs in the sentence, and in no other description's.
    sentence : str
        One sentence, true for any options; names no other method.
    references : tuple of Reference
        The literature that it rests on, at least one publication.

    Examples
    --------
    >>> from qsmcmb.core.references import ZHOU_2014
    >>> Description(name="LBV", sentence="Background fields were removed with LBV.", references=(ZHOU_2014,)).name
    'LBV'
    """

    name: str
    sentence: str
    references: tuple[Reference, ...]


@cache
def load(target: str) -> Callable[..., Any]:
    """Return the function that a target names.

    Parameters
    ----------
    target : str
        Module and function, ``"module:function"``.

    Returns
    -------
    callable
        The function, imported once.

    Examples
    --------
    >>> load("qsmcmb.core.validate:check_range").__name__
    'check_range'
    """
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)


def resolve(methods: Mapping[str, str], name: str) -> Callable[..., Any]:
    """Return the method of a name.

    Parameters
    ----------
    methods : mapping
        The family's METHODS: name to ``"module:function"``.
    name : str
        Key of the method.

    Returns
    -------
    callable
        The method; its module is imported at the first call.

    Raises
    ------
    ConfigError
        An unknown method; the message lists the known ones.

    Examples
    --------
    >>> resolve({"hypot": "math:hypot"}, "hypot")(3, 4)
    5.0
    """
    if name not in methods:
        raise ConfigError(f"unknown method {name!r}; the methods are: {', '.join(sorted(methods))}")
    return load(methods[name])


def option_names(function: Callable[..., Any], context: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keyword-only parameters of a method that a user may set.

    Parameters
    ----------
    function : callable
        The method.
    context : mapping
        Data that the pipeline supplies by name; these are no options.

    Returns
    -------
    tuple of str
        Names in the order of the signature.

    Examples
    --------
    >>> def method(field, *, magnitude=None, weight=0.5):
    ...     return field
    >>> option_names(method, {"magnitude": None})
    ('weight',)
    """
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in context)


def call_method(
    methods: Mapping[str, str],
    name: str,
    options: Mapping[str, object] | None,
    /,
    *args: Any,
    context: Mapping[str, Any],
) -> Any:
    """Call a method with the data that it declares and the options that the user set.

    Parameters
    ----------
    methods : mapping
        The family's METHODS: name to ``"module:function"``.
    name : str
        Key of the method.
    options : mapping or None
        Options by name.
    *args : object
        Positional arguments of the family's head.
    context : mapping
        Data a method may declare as keyword (magnitude, te_s, ...); it gets only what it declares.

    Returns
    -------
    object
        What the method returns.

    Raises
    ------
    ConfigError
        An unknown method or option; the message lists the known ones.

    Examples
    --------
    >>> call_method({"round": "builtins:round"}, "round", None, 2.6, context={"magnitude": None})
    3
    """
    function = resolve(methods, name)
    declared = inspect.signature(function).parameters
    allowed = option_names(function, context)
    for option in options or {}:
        if option not in allowed:
            raise ConfigError(
                f"method {name!r} has no option {option!r}; its options are: {', '.join(allowed) or 'none'}"
            )
    supplied = {key: value for key, value in context.items() if key in declared}
    return function(*args, **supplied, **(options or {}))


def bound_options(
    methods: Mapping[str, str], name: str, options: Mapping[str, object] | None, context: tuple[str, ...]
) -> dict[str, Any]:
    """Return all options of a method with their values, defaults written out, for the provenance.

    Parameters
    ----------
    methods : mapping
        The family's METHODS: name to ``"module:function"``.
    name : str
        Key of the method.
    options : mapping or None
        Options that the user set, by name.
    context : tuple of str
        Names of the data that the pipeline supplies.

    Returns
    -------
    dict
        Name to value, in the order of the signature.

    Raises
    ------
    ConfigError
        An unknown method; the message lists the known ones.

    Examples
    --------
    >>> bound_options({"dump": "json:dumps"}, "dump", {"indent": 2}, ("cls", "default"))["indent"]
    2
    """
    function = resolve(methods, name)
    parameters = inspect.signature(function).parameters
    names = option_names(function, dict.fromkeys(context))
    return {n: (options or {}).get(n, parameters[n].default) for n in names}
