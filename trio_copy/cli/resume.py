"""`trio-copy resume`"""

from trio_copy.cli.chosen import FollowName, OfFollower, OfLeader, read_choice
from trio_copy.cli.named_leaders import find_leaders
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.pause import scope_of
from trio_copy.cli.queries import nobody
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.engine.books.books import follower_modes
from trio_copy.errors import ConfigError
from trio_copy.model.control import ENGINE, Mode
from trio_copy.ports import Store


def resume(
    follow: FollowName = None,
    /,
    *,
    follower: OfFollower = None,
    leader: OfLeader = None,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """End a pause of a follow, a follower or a leader. A running engine obeys within a second.

    A pause of another kind, a mode, or a loss cap that was broken goes on; what still forbids entries is said.
    """
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    chosen = read_choice(follow, follower, leader, names)
    scope = scope_of(chosen)

    async def ask(store: Store) -> list[str]:
        if (await store.control.modes()).of(scope).mode is Mode.RUN:
            who = nobody(plan, chosen.follower)
            listed = suggested("mode", conf=plan.path)
            raise ConfigError([f"expected what is paused, got {chosen}{who}; what is, is listed by: {listed}"])
        await store.control.set_mode(Mode.RUN, "resumed by hand", scope)
        modes = await store.control.modes()
        left = [(ENGINE, modes.of(ENGINE))]
        wider = modes.paused(chosen.follower or "", chosen.leader or "")
        if wider is not None:
            left.append((f"pause of {wider}", modes.of(wider)))
        if chosen.follower is not None:
            left += [item for item in (await follower_modes(store.history)).items() if item[0] == chosen.follower]
        return [f"{name} is {one.mode.value}: {one.why}" for name, one in left if one.mode is not Mode.RUN]

    left_over = ask_store(plan, ask)
    out(names.in_text(f"{chosen} is resumed" + "".join(f"; still, {line}" for line in left_over)))
    return 0
