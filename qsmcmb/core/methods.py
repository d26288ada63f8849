"""How a family finds a method by name and binds its options."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from qsmcmb.errors import ConfigError


@cache
def load(target: str) -> Callable[..., Any]:
    """Return the function that ``"module:function"`` names."""
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)


def resolve(methods: Mapping[str, str], name: str) -> Callable[..., Any]:
    """Return the method called `name`; an unknown name lists the known ones."""
    if name not in methods:
        raise ConfigError(f"unknown method {name!r}; the methods are: {', '.join(sorted(methods))}")
    return load(methods[name])


def option_names(function: Callable[..., Any], context: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keyword-only parameters that a user may set: those that the pipeline does not supply."""
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
        The family's METHODS.
    name : str
        Key of the method.
    options : mapping or None
        Options by name; an unknown one fails and lists the options.
    *args
        Positional arguments of the family's head.
    context : mapping
        Data a method may declare as keyword (magnitude, te_s, ...); it gets only what it declares.

    Raises
    ------
    ConfigError
        Unknown method or option.
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
    """Return all options of a method with their values, defaults written out, for the provenance."""
    function = resolve(methods, name)
    parameters = inspect.signature(function).parameters
    names = option_names(function, dict.fromkeys(context))
    return {n: (options or {}).get(n, parameters[n].default) for n in names}
