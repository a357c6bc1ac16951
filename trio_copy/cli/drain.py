"""`trio-copy drain INSTANCE`"""

from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import When
from trio_copy.cli.redact import Redact
from trio_copy.errors import ConfigError
from trio_copy.model.control import LEASE_BEATS
from trio_copy.ports import Store


def drain(
    instance: Annotated[str, Parameter(help="The instance, or the beginning of its name: see `trio-copy status`.")],
    /,
    *,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Ask one instance to finish what it works on and stop; the others take over its shards.

    It hears it with its next heartbeat, hands its queue over and ends with exit code 0. `trio-copy status` shows how far it is.
    """
    plan = find_plan(conf, redactor)

    async def ask(store: Store) -> str:
        now = When.present().now
        redactor.recognise(*(found.instance for found in await store.control.instances()))
        beat_s = 1.0 if plan.shards is None else plan.shards.heartbeat_s
        dead = {
            found.instance
            for found in await store.control.instances()
            if plan.shards is not None and now - found.seen_at > LEASE_BEATS * beat_s
        }
        names = [found.instance for found in await store.control.instances() if found.instance.startswith(instance)]
        if len(names) != 1:
            known = ", ".join(sorted(found.instance for found in await store.control.instances())) or "none was seen"
            many = f", as {len(names)} begin" if names else ""
            raise ConfigError(
                [f'INSTANCE: expected the beginning of one instance\'s name, got "{instance}"{many}; known: {known}']
            )
        if names[0] in dead:
            raise ConfigError([f"INSTANCE: {names[0]} is dead, and its shards are others' by now: nothing to drain"])
        await store.control.ask_drain(names[0])
        return names[0]

    out(f"{ask_store(plan, ask)} was asked to drain")
    return 0
