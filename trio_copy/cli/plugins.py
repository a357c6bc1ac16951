"""`trio-copy plugins`"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter

from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Json, show
from trio_copy.engine.plan import Plan, load_plan
from trio_copy.registry import Registry, Source, discover


@frozen(kw_only=True)
class _Row:
    kind: str
    name: str
    distribution: str
    version: str
    active: str
    """yes, no, or why it cannot be told."""


_COLUMNS: tuple[Column[_Row], ...] = (
    Column("kind", lambda row: row.kind),
    Column("name", lambda row: row.name),
    Column("distribution", lambda row: row.distribution),
    Column("version", lambda row: row.version),
    Column("active", lambda row: row.active),
)


def plugins(
    conf: Annotated[Path | None, Parameter(name="--conf", help="Tell what this configuration activates.")] = None,
    *,
    redactor: Redact,
    json: Json = False,
) -> int:
    """List the installed executors, stores, decoders and market sources.

    A plugin is available when it is installed, loaded when it is ours or plugins.allow names its distribution, and
    active when a table of the configuration uses it.
    """
    plan = load_plan(conf, redactor) if conf is not None else None
    registry = plan.registry if plan else discover()
    registry.load_all()
    show(_COLUMNS, _rows(registry, plan), json=json, csv_=False, empty="nothing is installed")
    return 0


def _rows(registry: Registry, plan: Plan | None) -> list[_Row]:
    active: set[tuple[str, str]] = set()
    if plan is not None:
        settings = plan.settings
        active = {("executor", table.plugin) for table in settings.executor}
        active |= {("store", settings.store.plugin)} | {("decoder", table.plugin) for table in settings.decoder}
        active |= {("markets", table.plugin) for table in settings.markets}
    kinds: tuple[tuple[str, Mapping[str, tuple[object, Source]]], ...] = (
        ("executor", registry.executors),
        ("store", registry.stores),
        ("decoder", registry.decoders),
        ("markets", registry.markets),
    )
    rows = [
        _Row(
            kind=kind,
            name=name,
            distribution=source.distribution,
            version=source.version,
            active="-" if plan is None else "yes" if (kind, name) in active else "no",
        )
        for kind, found in kinds
        for name, (_, source) in sorted(found.items())
    ]
    rows += [
        _Row(
            kind="not loaded",
            name=source.entry_point,
            distribution=source.distribution,
            version=source.version,
            active="no: not in plugins.allow",
        )
        for source in registry.installed
        if not source.allowed
    ]
    return rows
