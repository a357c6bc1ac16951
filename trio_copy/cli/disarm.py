"""`trio-copy disarm [WALLET...]`"""

from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.arm import expect_wallets
from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.redact import Redact
from trio_copy.errors import ConfigError
from trio_copy.signing.arming import disarm as disarm_wallet


def disarm(
    *wallets: Annotated[
        str, Parameter(help="Names of live wallets, [wallet.NAME]. Default: all of the configuration.")
    ],
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Forbid that wallets trade, on this machine: from the next second on nothing is signed for them, exits neither.

    What rests at a venue stays there. To stop entries and let exits go on: `trio-copy mode halt-new`.
    """
    plan = find_plan(conf, redactor)
    names = wallets or tuple(name for name, table in plan.settings.wallet.items() if table.live)
    expect_wallets(plan, names)
    for name in names:
        address = plan.settings.wallet[name].address
        assert address is not None  # the configuration was checked
        try:
            was = disarm_wallet(plan.settings.signing.path, address)
        except OSError as error:
            raise ConfigError(
                [f"signing.folder: {plan.settings.signing.path}: {error.strerror}; {name} is still armed"]
            ) from None
        out(f"{name} is disarmed" if was else f"{name} was not armed")
    if not names:
        out("no wallet has a key, so none is armed")
    return 0
