"""The one plugin manager, made at its first use.

Whoever needs plugins asks here: `contributions` for what ``register_*`` hooks return,
`call_observers` to tell them what happened, `installed` for who there is. A plugin that cannot
be loaded, or that raises, is logged and listed as broken; it stops neither a training nor another
plugin.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pluggy

from eventlog import hookspecs

GROUP = "eventlog"  # of entry points
BUILT_IN = {  # as in pyproject; a bare checkout has no metadata
    "backends": "eventlog_backends.hooks",
    "tracking": "eventlog.tracking.hooks",
    "views": "eventlog_views.hooks",
}

hookimpl = pluggy.HookimplMarker(GROUP)
logger = logging.getLogger(__name__)


class PluginInfo(NamedTuple):
    """What is known of one plugin; ``error`` is None for one that has given no trouble."""

    name: str
    distribution: str | None
    version: str | None
    module: str
    hooks: tuple[str, ...]
    error: str | None


class _Source(NamedTuple):
    """Where a plugin comes from."""

    name: str
    module: str
    distribution: str | None
    version: str | None


class _State:
    """The manager, where its plugins came from, and what went wrong with whom."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.sources: dict[str, _Source] = {}
        self.errors: dict[str, str] = {}
        self.reported: set[tuple[str, str]] = set()

    def load(self, source: _Source, entry_point: importlib.metadata.EntryPoint | None) -> None:
        """Import and register one plugin; a failure is logged and remembered."""
        name = source.name
        self.sources[name] = source
        try:
            plugin = entry_point.load() if entry_point else importlib.import_module(source.module)
            self.manager.register(plugin, name)
        except (Exception, SystemExit) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            self.blame(name, "loading it", error)
            return
        unknown = sorted(set(self.hooks(plugin)) - set(_specified()))
        if unknown:
            self.blame(name, "loading it", f"this eventlog has no hook {', '.join(unknown)}")

    def hooks(self, plugin: object) -> tuple[str, ...]:
        callers = self.manager.get_hookcallers(plugin) or []
        return tuple(sorted(caller.name for caller in callers))

    def blame(self, name: str, what: str, error: BaseException | str) -> None:
        """Log trouble with a plugin, the first time with all that is known."""
        said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self.errors.setdefault(name, f"{what}: {said}")
        if (name, what) in self.reported:
            return
        self.reported.add((name, what))
        source = self.sources.get(name)
        logger.warning(
            "plugin %s (%s) is broken: %s: %s. `eventlog plugins` lists what is installed; "
            "upgrade or uninstall %s.",
            name,
            source.module if source else "registered by hand",
            what,
            said,
            (source and source.distribution) or "it",
            exc_info=error if isinstance(error, BaseException) else None,
        )


_state: _State | None = None
_lock = threading.RLock()


def _forget_lock() -> None:
    """A lock that another thread held at the fork would never be given back in the child."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)


def plugins() -> pluggy.PluginManager:
    """The manager, with every installed plugin loaded. `register` a plugin by hand with it."""
    return _loaded().manager


def contributions(hook: str, **arguments: Any) -> list[tuple[str, Any]]:
    """What each plugin's implementation of ``hook`` returns, as (plugin's name, result).

    Built-in plugins come first. One that raises, or that returns neither the list nor the dict
    that the specification asks for, is logged, and left out.
    """
    state = _loaded()
    kind = _return_kind(hook)
    results = []
    for implementation in _implementations(state, hook):
        plugin = implementation.plugin_name
        try:
            result = implementation.function(*[arguments[name] for name in implementation.argnames])
        except Exception as error:
            state.blame(plugin, hook, error)
            continue
        if isinstance(result, kind):
            results.append((plugin, result))
        else:
            state.blame(plugin, hook, f"it returned a {type(result).__name__}")
    return results


def is_observed(hook: str) -> bool:
    """Whether any plugin implements ``hook``; saves making what nobody wants."""
    return any(True for _ in _implementations(_loaded(), hook))


def call_observers(hook: str, **arguments: Any) -> None:
    """Tell each plugin what happened, each on its own: one that raises is logged."""
    contributions(hook, **arguments)


def report_broken(plugin_name: str, hook: str, what: str) -> None:
    """Log and remember that a plugin broke the contract of ``hook``: ``what`` says how."""
    _loaded().blame(plugin_name, hook, what)


def installed() -> list[PluginInfo]:
    """Every plugin there is, the broken ones too, by name."""
    state = _loaded()
    known = dict(state.manager.list_name_plugin())
    infos = []
    for name in sorted({*known, *state.sources}):
        plugin = known.get(name)
        source = state.sources.get(name) or _Source(name, _module_of(plugin), None, None)
        hooks = state.hooks(plugin) if plugin is not None else ()
        error = state.errors.get(name)
        infos.append(
            PluginInfo(name, source.distribution, source.version, source.module, hooks, error)
        )
    return infos


def _loaded() -> _State:
    global _state
    if _state is None:
        with _lock:
            if _state is None:
                _state = _load()
    return _state


def _load() -> _State:
    state = _State()
    taken = set()
    for entry_point in _entry_points():
        dist = entry_point.dist
        name = entry_point.name
        if name in state.sources or (name in BUILT_IN and entry_point.value != BUILT_IN[name]):
            name = f"{name} ({dist.name if dist else entry_point.value})"
        taken.add(entry_point.value)
        source = _Source(
            name, entry_point.value, dist.name if dist else None, dist.version if dist else None
        )
        state.load(source, entry_point)
    for name, module in BUILT_IN.items():
        if module not in taken:
            state.load(_Source(name, module, None, None), None)
    return state


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    """By name; the built-in ones last, since pluggy calls the last one registered first."""
    found = importlib.metadata.entry_points(group=GROUP)
    return sorted(found, key=lambda e: (e.value in BUILT_IN.values(), e.name, e.value))


def _implementations(state: _State, hook: str) -> Iterator[pluggy.HookImpl]:
    for implementation in reversed(getattr(state.manager.hook, hook).get_hookimpls()):
        if not (implementation.wrapper or implementation.hookwrapper):
            yield implementation


def _specified() -> list[str]:
    return [name for name, value in vars(hookspecs).items() if hasattr(value, f"{GROUP}_spec")]


def _return_kind(hook: str) -> type:
    """What an implementation must return; an observer may return anything."""
    said = str(getattr(hookspecs, hook).__annotations__["return"])
    return {"dict": dict, "list": list}.get(said.partition("[")[0], object)


def _module_of(plugin: object) -> str:
    return getattr(plugin, "__name__", None) or type(plugin).__module__
