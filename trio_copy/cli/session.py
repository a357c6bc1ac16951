"""What a run was asked for, and where it prints."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path

from attrs import define, evolve, field

from trio_copy.cli.live import LiveKeys
from trio_copy.cli.play_money import PlayMoney
from trio_copy.cli.printer import Above, Printer
from trio_copy.cli.world import World
from trio_copy.engine.plan import Plan


@define(eq=False)
class Session:
    conf: Path
    plan: Plan
    for_s: float | None
    json: bool
    verbose: bool
    record: Path | None
    from_head: bool
    keys: LiveKeys = field(repr=False)
    play: PlayMoney | None
    output: Printer = field(init=False)
    logs: Printer = field(init=False)

    @contextmanager
    def foreign_lines(self) -> Iterator[None]:
        """Show what plugins and libraries print to standard error above the status, not in the middle of it."""
        with redirect_stderr(Above(self.output, sys.stderr)) if self.logs is self.output else nullcontext():
            yield

    def __attrs_post_init__(self) -> None:
        if self.play is not None:
            self.plan = evolve(self.plan, settings=self.play.stage(self.plan.settings))
        self.output = Printer(sys.stdout, live=sys.stdout.isatty() and not self.json)
        self.logs = self.output if self.output.live and one_terminal() else Printer(sys.stderr, live=False)

    def trading_at(self, world: World) -> Plan:
        """Return the world's plan; where play money trades at its contracts, with guards that know them."""
        if self.play is None or not world.policy:
            return world.plan
        self.play = self.play.trading_at(world.policy, world.plan.settings.chain.chain_id)
        return evolve(world.plan, settings=self.play.stage(world.plan.settings))


def one_terminal() -> bool:
    """Tell whether standard output and error are the same terminal, where one would run into the other."""
    streams = (sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and len({os.ttyname(stream.fileno()) for stream in streams}) == 1
