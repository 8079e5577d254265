"""Plugins hear of every segment that has reached the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import eventlog
from eventlog.log.log import Log
from eventlog.plugin import plugins


class Listener:
    """A plugin that notes what was shipped, and breaks if told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.broken = False

    @eventlog.hookimpl
    def events_shipped(self, log: Log, events: pa.Table) -> None:
        if self.broken:
            raise RuntimeError("the plugin is broken")
        streams, types = events["stream"].to_pylist(), events["type"].to_pylist()
        self.heard.extend((str(s), str(t)) for s, t in zip(streams, types, strict=True))


@pytest.fixture
def listener() -> Iterator[Listener]:
    plugin = Listener()
    plugins().register(plugin, name="listener")
    yield plugin
    plugins().unregister(plugin)


def test_a_plugin_hears_of_every_event_once(listener: Listener, tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "log") as log:
        log.append("lamp.lit", "lamp:1")
        log.flush(remote=True)
        log.append("lamp.dimmed", "lamp:1")
    assert listener.heard == [("lamp:1", "lamp.lit"), ("lamp:1", "lamp.dimmed")]


def test_a_broken_listener_stops_no_shipment(listener: Listener, tmp_path: Path) -> None:
    listener.broken = True
    with eventlog.open(tmp_path / "log") as log:
        log.append("lamp.lit", "lamp:1")
        log.flush(remote=True)
        assert log.position().lanes
        assert log.events().collect().height == 1
