"""`trio-copy drain INSTANCE`"""

from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.printer import out
from trio_copy.errors import ConfigError
from trio_copy.ports import Store


def drain(
    instance: Annotated[str, Parameter(help="The instance, or the beginning of its name: see `trio-copy status`.")],
    /,
    *,
    conf: Conf = None,
) -> int:
    """Ask one instance to finish what it works on and stop; the others take over its shards.

    It hears it with its next heartbeat, hands its queue over and ends with exit code 0. `trio-copy status` shows how far it is.
    """
    plan = find_plan(conf)

    async def ask(store: Store) -> str:
        names = [found.instance for found in await store.control.instances() if found.instance.startswith(instance)]
        if len(names) != 1:
            known = ", ".join(sorted(found.instance for found in await store.control.instances())) or "none was seen"
            what = "no instance" if not names else f"{len(names)} instances"
            raise ConfigError(
                [f'INSTANCE: expected the name of one instance, {what} begins with "{instance}"; known: {known}']
            )
        await store.control.ask_drain(names[0])
        return names[0]

    out(f"{ask_store(plan, ask)} was asked to drain")
    return 0
