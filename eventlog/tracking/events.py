"""What training code says happened: the event types of runs, experiments and models.

    stream               types
    run:<id>             run.created, run.resumed, run.finished, run.named, run.moved, run.deleted,
                         run.restored, param.set, tag.set, tag.removed, metric.logged,
                         metric.rewound, artifact.logged, media.logged, dataset.used, output.written
    experiment:<id>      experiment.created, experiment.renamed, experiment.deleted,
                         experiment.restored, tag.set, tag.removed, note.set
    experiment_name:<n>  experiment_name.taken, experiment_name.freed (claims: one living owner)
    model:<name>         model.created, model_version.created, model_alias.set,
                         model_alias.removed, model_stage.set, model.deleted, model.restored
                         (claims: one order for all); tag.set, tag.removed, note.set, with the key
                         ``version/<n>/…`` where they concern one version

The payloads are the contract between who writes and who folds: a field is added with a default, and
what changes its meaning gets a new version with an upcast.
"""

from __future__ import annotations

from typing import Any

import msgspec

from eventlog.event import EventType


class RunCreated(msgspec.Struct, omit_defaults=True):
    """A run began. Its time is the event's, unless it was imported.

    Attributes:
        name: for people; need not be unique.
        experiment: the experiment's name when the run began.
        experiment_id: None where the store had not yet been asked whose name that is; then
            ``run.moved`` says it, and until then the name decides.
        parent_id: the run that this one is a part of.
        user: who started it.
        source: the entry point.
        start_us: microseconds since 1970 in UTC, for a run that began before its event.
        rank, world_size: the writer's place among the processes of the run.
    """

    name: str = ""
    experiment: str = ""
    experiment_id: str | None = None
    parent_id: str | None = None
    user: str = ""
    source: str = ""
    start_us: int | None = None
    rank: int | None = None
    world_size: int | None = None


class RunResumed(msgspec.Struct, omit_defaults=True):
    """Another process goes on with a run, and owns it from now on; or joins it as a rank.

    Attributes:
        joined: one of several processes that write the run together: it does not take it over.
    """

    joined: bool = False
    rank: int | None = None
    world_size: int | None = None


class RunFinished(msgspec.Struct, omit_defaults=True):
    """A run ended.

    Attributes:
        status: FINISHED, FAILED or KILLED.
        error: the traceback of what stopped it.
        end_us: microseconds since 1970 in UTC, for a run that ended before its event.
    """

    status: str
    error: str = ""
    end_us: int | None = None


class Named(msgspec.Struct):
    """A run or an experiment is called ``name`` from now on."""

    name: str


class RunMoved(msgspec.Struct):
    """A run belongs to this experiment from now on."""

    experiment: str
    experiment_id: str


class MetricRewound(msgspec.Struct):
    """The run's points of larger steps that came before this event do not count any more."""

    to_step: int


class ArtifactLogged(msgspec.Struct, omit_defaults=True):
    """A file belongs to the run; the event's key is its path.

    Attributes:
        blob: the key of the blob that holds it; "" for a reference or a removed artifact.
        size_bytes, sha256: of the content; sha256 in hex.
        media_type: as in HTTP: ``image/png``.
        uri: of a reference: where the content lies; eventlog does not keep it.
        kind: "file", "image", "figure", "table", "audio", "text", "json", "model" …
        removed: the path is gone.
        details: whatever the kind has to say: width and height, columns …
    """

    blob: str = ""
    size_bytes: int = 0
    sha256: str = ""
    media_type: str = ""
    uri: str = ""
    kind: str = "file"
    removed: bool = False
    details: dict[str, Any] = {}


class MediaLogged(msgspec.Struct, omit_defaults=True):
    """Something to look at or listen to, under a key and at a step of the run.

    Attributes:
        kind: "image", "audio", "histogram", "table", "text".
        blob, size_bytes, sha256, media_type: as in `ArtifactLogged`; blob is "" where ``inline``
            holds it all.
        inline: a small content as JSON: a histogram's edges and counts, a text.
        caption: for people.
        details: width and height, sample rate, columns …
    """

    kind: str
    blob: str = ""
    size_bytes: int = 0
    sha256: str = ""
    media_type: str = ""
    inline: Any = None
    caption: str = ""
    details: dict[str, Any] = {}


class DatasetUsed(msgspec.Struct, omit_defaults=True):
    """A run read a data set; the event's key is ``<name>/<digest>``.

    Attributes:
        name, digest: what it is called and a digest of its content.
        context: what for: "train", "test" …
        source: where it came from, as a URI or a path.
        source_kind: "polars", "arrow", "pandas", "numpy", "file", "url" …
        columns: name to type, where there are columns.
        rows: how many; None where nobody counted.
        size_bytes: of the content; None where nobody counted.
    """

    name: str
    digest: str
    context: str = ""
    source: str = ""
    source_kind: str = ""
    columns: dict[str, str] = {}
    rows: int | None = None
    size_bytes: int | None = None


class ExperimentCreated(msgspec.Struct):
    """An experiment began, under this name."""

    name: str


class ExperimentName(msgspec.Struct):
    """Claimed: from now on the name is this experiment's (taken), or nobody's (freed)."""

    experiment_id: str


class NoteSet(msgspec.Struct):
    """A description, Markdown."""

    text: str


class ModelCreated(msgspec.Struct):
    """Claimed: the model's name is taken."""

    name: str


class VersionCreated(msgspec.Struct, omit_defaults=True):
    """Claimed: the next version of a model.

    Attributes:
        version: counted from 1, dense.
        run_id: the run that made it; "" for none.
        path: the artifact of the run that it is; "" for none.
        uri: where it lies, if it is no artifact of a run.
        source: for people and for MLflow: where it came from.
    """

    version: int
    run_id: str = ""
    path: str = ""
    uri: str = ""
    source: str = ""


class AliasSet(msgspec.Struct):
    """Claimed: the alias means this version from now on; 0 is none."""

    alias: str
    version: int


class StageSet(msgspec.Struct):
    """Claimed: the version's stage: "None", "Staging", "Production", "Archived"."""

    version: int
    stage: str


def event_types() -> list[EventType]:
    """The event types of tracking."""
    payloads: dict[str, type[msgspec.Struct] | None] = {
        "run.created": RunCreated,
        "run.resumed": RunResumed,
        "run.finished": RunFinished,
        "run.named": Named,
        "run.moved": RunMoved,
        "run.deleted": None,
        "run.restored": None,
        "param.set": None,  # any JSON
        "tag.set": None,
        "tag.removed": None,
        "metric.rewound": MetricRewound,
        "artifact.logged": ArtifactLogged,
        "media.logged": MediaLogged,
        "dataset.used": DatasetUsed,
        "output.written": None,  # a text; the key is stdout or stderr
        "experiment.created": ExperimentCreated,
        "experiment.renamed": Named,
        "experiment.deleted": None,
        "experiment.restored": None,
        "experiment_name.taken": ExperimentName,
        "experiment_name.freed": ExperimentName,
        "note.set": NoteSet,
        "model.created": ModelCreated,
        "model_version.created": VersionCreated,
        "model_alias.set": AliasSet,
        "model_stage.set": StageSet,
        "model.deleted": None,
        "model.restored": None,
    }
    return [EventType(name, payload) for name, payload in payloads.items()]
