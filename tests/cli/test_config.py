"""A bad configuration starts nothing, exits with 2 and lists every problem at once; no secret is ever repeated."""

import os
from pathlib import Path

import pytest

from trio_copy.cli import main
from trio_copy.config.gone import GONE

GOOD = """
[chain]
chain_id = 137
[[endpoint]]
name = "one"
url = "wss://node.example"
[store.memory]
[executor.dry-run]
[decoder.order-filled]
[[follower]]
id = "alice"
executor = "dry-run"
[[follow]]
follower = "alice"
leader = "0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d"
"""

Capture = pytest.CaptureFixture[str]


def check(tmp_path: Path, text: str) -> int:
    path = tmp_path / "conf.toml"
    path.write_text(text)
    return main(["check", str(path)])


def test_a_good_file_is_good(tmp_path: Path, capsys: Capture) -> None:
    """Checking says what would run."""
    assert check(tmp_path, GOOD) == 0
    assert "1 follow of 1 leader by 1 follower" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("find", "put", "says"),
    [
        ("chain_id = 137", 'chain_id = "137"', 'chain.chain_id: expected a whole number, got "137"'),
        ("chain_id = 137", "chain_id = true", "chain.chain_id: expected a whole number, got true"),
        ("chain_id = 137", 'chain_id = ["a", {b = true}]', 'expected a whole number, got ["a", {b = true}]'),
        ("chain_id = 137", "", "chain.chain_id: required, but not set"),
        ("chain_id = 137", "chain_id = 137\nsilence = 3", 'chain.silence: unknown key; did you mean "silence_s"?'),
        (
            "chain_id = 137",
            "chain_id = 137\nsilence_s = 0",
            "chain.silence_s: expected a value from 0.5 to 3600.0, got 0",
        ),
        ("[chain]", "[engine]\nworkers = 2.5\n[chain]", "engine.workers: expected a whole number, got 2.5"),
        ("[chain]", '[engine]\nmode = "real"\n[chain]', 'engine.mode: expected one of paper, live, got "real"'),
        ("[chain]", "[engien]\n[chain]", 'engien: unknown key; did you mean "engine"?'),
        ("0x6031B6", "0x6031b6", "follow[0].leader: expected the checksum of 0x6031B6eed1"),
        ("F96d", "F96", "follow[0].leader: expected an address, 0x and 40 hex digits"),
        ("[store.memory]", "[store.sqlit]", "store.sqlit: no store named 'sqlit'; installed: memory, redis, sqlite"),
        (
            "[store.memory]",
            "[shards]\nwarm = true\n[store.memory]",
            "shards: expected a store that several instances can share, such as [store.redis], got [store.memory]",
        ),
        ("[store.memory]", '[shards]\nindex = 2\nof = 2\n[store.redis]\nurl = "redis://h"', "shards.index: expected"),
        ("[store.memory]", '[store.redis]\nurl = "127.0.0.1"', "store.redis.url: expected redis://"),
        ("[store.memory]", '[store.redis]\nurl = "redis://:pw@h"', "store.redis.url: expected env:NAME or file:PATH"),
        ("[store.memory]", "", "store: expected exactly one table [store.NAME], got 0"),
        ("[executor.dry-run]", "[executor.clbo]", "executor.clbo: no executor named 'clbo'; installed: clob, dry-run"),
        (
            "[decoder.order-filled]",
            "[decoder.order-filed]",
            "no decoder named 'order-filed'; installed: erc1155, fpmm, order-filled",
        ),
        ("[decoder.order-filled]", "", "decoder: expected at least one table"),
        (
            "[executor.dry-run]",
            "[executor.dry-run]\nlatency = 3",
            'executor.dry-run.latency: unknown key; did you mean "latency_ms"?',
        ),
        (
            'executor = "dry-run"',
            'executor = "dryrun"',
            'follower[0].executor: expected a configured executor (dry-run), got "dryrun"; did you mean "dry-run"?',
        ),
        (
            'follower = "alice"',
            'follower = "alcie"',
            'follow[0].follower: expected the id of a [[follower]], got "alcie"; did you mean "alice"?',
        ),
        ('id = "alice"', 'id = "al ice"', "follower[0].id: expected a name of up to 64 letters"),
        (
            'url = "wss://node.example"',
            'url = "https://node.example"',
            "endpoint[0].url: expected a URL with ws:// or wss://",
        ),
        (
            'url = "wss://node.example"',
            'url = "env:NOPE_NOT_SET"',
            "endpoint[0].url: expected environment variable NOPE_NOT_SET to be set",
        ),
        ('url = "wss://node.example"', 'url = "wss://node.example:0"', "endpoint[0].url: expected a URL with ws://"),
        ("[[endpoint]]", "[devnet]\n[[endpoint]]", "devnet: expected no [[endpoint]] beside it"),
        ("[chain]", '[plugins]\nallow = ["nope"]\n[chain]', "plugins.allow: expected an installed plugin, got nope"),
        ("[chain]", "[chain", "not valid TOML"),
    ],
)
def test_each_mistake_is_one_clear_line(tmp_path: Path, capsys: Capture, find: str, put: str, says: str) -> None:
    """File, key, what was expected and what was there; the nearest known name where there is one."""
    assert check(tmp_path, GOOD.replace(find, put, 1)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any(says in line for line in lines), lines
    assert all(line.startswith(str(tmp_path / "conf.toml")) for line in lines)


FOLLOW = """
[[follow]]
follower = "alice"
leader = "0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d"
"""


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (
            FOLLOW,
            "follow[1]: expected each pair once, got alice copies 0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d as in"
            " follow[0] on line 13",
        ),
        (
            '[[follower]]\nid = "alice"\nexecutor = "dry-run"',
            "follower[1]: expected each id once, got alice as in follower[0] on line 10",
        ),
        (
            GOOD[GOOD.index("[[endpoint]]") : GOOD.index("[store")],
            "endpoint[1]: expected each name once, got one as in endpoint[0] on line 4",
        ),
        ("ratio = 1", "follow[0].ratio: unknown key here; it belongs into [follow.size]"),
        (
            "[follow.size]\nmax_day_usd = 5",
            "follow[0].size.max_day_usd: unknown key here; it belongs into [follow.caps]",
        ),
        ("[engine]\nsilence_s = 5", "engine.silence_s: unknown key here; it belongs into [chain]"),
        ('[follow.size]\nratio = "0.0000001"', "follow[0].size.ratio: expected a decimal number with at most 6 places"),
        (
            "[follow.execution]\nslippage_bps = -1",
            "follow[0].execution.slippage_bps: expected a value from 0 to 10000, got -1",
        ),
        ('[follow.filters]\nsides = ["BUY", "HOLD"]', 'follow[0].filters.sides[1]: expected BUY or SELL, got "HOLD"'),
        ('[follow.filters]\ntoken_deny = ["-1"]', "follow[0].filters.token_deny[0]: expected a token id"),
        ("[follow.filters]\nprice_max = 1.5", "follow[0].filters.price_max: expected a value from 0 to 1, got 1.5"),
        (
            "[follow.filters]\nprice_min = 0.5\nprice_max = 0.4",
            "follow[0].filters.price_max: expected at least price_min",
        ),
        (
            "[follow.size]\nrange_max_usd = 0.5",
            "follow[0].size.range_max_usd: expected at least range_min_usd, which is 1",
        ),
        ("[follow.filters]\nprice_max = inf", "follow[0].filters.price_max: expected a decimal number"),
    ],
)
def test_mistakes_in_lists_carry_their_place(tmp_path: Path, capsys: Capture, extra: str, says: str) -> None:
    """A table of many is found by its number."""
    assert check(tmp_path, GOOD + extra) == 2
    assert says in capsys.readouterr().err


def test_each_problem_says_its_line_and_whom_it_is_about(tmp_path: Path, capsys: Capture) -> None:
    """What stands in strings, comments and lists over several lines is no key, and moves no line."""
    text = GOOD.replace("[chain]", '[chain] # [store]\r\nsilence_s = 0 # "', 1) + (
        "[follow.filters]\n"
        'keyword_deny = ["""\n[[follow]]\nratio = 1 ]""", # ]\n  \'[engine]\', "\\"", ]\n'
        "price_max = 2\n"
        '[[ "follow" ]]\nfollower = "alice"\nleader = "0xa697d0b3FFf7D285a0F92d6Ee03a7f97809E59d5"\n'
        "size.ratio = -1\nsize.tiers = [\n  {ratio = -2},\n]\n"
    )
    assert check(tmp_path, text) == 2
    conf = tmp_path / "conf.toml"
    said = [line.removeprefix(f"{conf}:").split(": expected")[0] for line in capsys.readouterr().err.splitlines()]
    source = conf.read_text().splitlines()

    assert sorted(said) == sorted(
        f"{1 + source.index(line)}: {path}"
        for line, path in (
            ('silence_s = 0 # "', "chain.silence_s"),
            ("price_max = 2", "follow[0].filters.price_max"),
            ("size.ratio = -1", "follow[1].size.ratio"),
            ("size.tiers = [", "follow[1].size.tiers[0].ratio"),
        )
    )


def test_a_problem_of_many_tables_names_its_own(tmp_path: Path, capsys: Capture) -> None:
    """Nobody counts to follow[37]."""
    assert check(tmp_path, GOOD + "[follow.size]\nratio = -1") == 2
    assert "got -1 (alice copies 0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d)" in capsys.readouterr().err


def test_every_problem_is_listed_at_once(tmp_path: Path, capsys: Capture) -> None:
    """Nobody has to run check five times to find five mistakes."""
    text = GOOD.replace("137", '"x"').replace("[executor.dry-run]", "[executor.dry-run]\nseed = -1\nfoo = 1")
    assert check(tmp_path, text + "\n[follow.size]\nratio = -1\nequity_usd = -5\nmode = 'big'") == 2
    assert len(capsys.readouterr().err.splitlines()) == 6


KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


@pytest.mark.parametrize(
    ("find", "put", "told", "not_told"),
    [
        (
            'follower = "alice"',
            'follower = "alcie"',
            ['follow[0].follower: expected the id of a [[follower]], got "alcie"'],
            [],
        ),
        (
            'executor = "dry-run"',
            'executor = "dry"',
            ['follower[0].executor: expected a configured executor (dry-run), got "dry"'],
            ["follow[0]"],
        ),
        ('id = "alice"', "id = 7", ["follower[0].id: expected a name"], ["follow[0]"]),
        (
            'executor = "dry-run"',
            "executor = 7",
            ["follower[0].executor: expected text"],
            ["configured executor", "follow[0]"],
        ),
        ("[executor.dry-run]", "", ["follower[0].executor: expected a configured executor (none)"], ["follow[0]"]),
        ("[executor.dry-run]", "[[executor]]", ["executor: expected tables"], ["configured executor"]),
        ('[[follower]]\nid = "alice"\nexecutor = "dry-run"', "[follower]", ["follower: expected"], []),
    ],
)
def test_a_name_that_leads_nowhere_is_told_beside_a_wrong_shape(
    tmp_path: Path, capsys: Capture, find: str, put: str, told: list[str], not_told: list[str]
) -> None:
    """One round of mending, not two; and what follows from the other mistake is none of its own."""
    assert check(tmp_path, GOOD.replace("chain_id = 137", 'chain_id = "137"').replace(find, put, 1)) == 2
    said = capsys.readouterr().err

    assert "chain.chain_id: expected a whole number" in said
    for problem in told:
        assert problem in said
    for problem in not_told:
        assert problem not in said


@pytest.mark.parametrize(
    "line",
    [
        f'private_key = "{KEY}"',
        f'anything = "0x{KEY}"',
        'api_key = "hunter2"',
        'password = "hunter2"',
        'words = "' + " ".join(["abandon"] * 11 + ["about"]) + '"',
        'url = "wss://polygon.example/v2/AbCdEf0123456789AbCdEf0123"',
        'url = "wss://user:hunter2@polygon.example"',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, capsys: Capture, line: str) -> None:
    """Keys, phrases, passwords and URLs with API keys belong into a variable or a 0600 file."""
    assert check(tmp_path, GOOD.replace("[executor.dry-run]", f"[executor.dry-run]\n{line}")) == 2
    output = capsys.readouterr().err
    assert "in the file; if it was real, replace it now" in output
    for secret in (KEY, "hunter2", "abandon", "AbCdEf"):
        assert secret not in output


LONG = "AbCdEf0123456789AbCdEf0123"


@pytest.mark.parametrize(
    "url",
    [
        f"wss://node.example/v2/ws?apikey={LONG}&v=2",
        "wss://node.example/v2/ws?v=2&apikey=hunter2",
        f"wss://node.example/{LONG}?x=1",
        f"wss://node.example/{LONG}",
        f"wss://node.example/rpc/{LONG}/ws",
        f"wss://node.example/ws?{LONG}",
        f"wss://node.example/ws#{LONG}",
        f"wss://node.example/%41{LONG[1:]}",
        "wss://node.example/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sflKxwRJSMeKKF2QT4",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sflKxwRJSMeKKF2QT4",
        f"WSS://NODE.EXAMPLE/v2/{LONG}",
        f"Wss://node.example/v2/{LONG.lower()}",
        "wss://node.example/v2/0123456789abcdef0123456789abcdef",
        "wss://node.example/123e4567-e89b-12d3-a456-426614174000",
        "wss://node.example/xK3-9aB_2kLm-Qw8rT5yU",
        f"wss://{LONG.lower()}.nodes.example/ws",
        f"wss://{LONG.lower()}.example",
        "wss://user:hunter2@node.example",
        "wss://:hunter2@node.example",
        "wss://hunter2@node.example",
        "wss://user:hun/ter2@node.example",
        "redis://:hunter2@127.0.0.1:6379/0",
        'redis://:hun"ter2@127.0.0.1',
        "redis://127.0.0.1?password=hunter2",
        "redis+sentinel://:hun?ter2@h:1/name",
    ],
)
def test_a_key_in_a_url_of_the_file_is_refused_in_every_form(tmp_path: Path, capsys: Capture, url: str) -> None:
    """Path, query, fragment, host, user, any letter case: one line that says where it belongs, without the key."""
    line = "url = '" + url + "'"
    assert check(tmp_path, GOOD.replace('url = "wss://node.example"', line)) == 2
    errors = capsys.readouterr().err.splitlines()
    assert sum("endpoint[0].url: expected env:NAME or file:PATH, got a" in error for error in errors) == 1
    for secret in (LONG, "hunter2", "ter2", "eyJ", "0123456789abcdef", "xK3-9aB", "e89b-12d3"):
        assert secret.lower() not in "".join(errors).lower()


@pytest.mark.parametrize(
    "url",
    [
        "wss://polygon-rpc.com",
        "wss://polygon-bor-rpc.publicnode.com",
        "ws://127.0.0.1:8545/ws",
        "ws://[::1]:8545",
        "ws://node-0.test",
        "wss://node.example/v2/ws",
        "wss://node.example/rpc/mainnet",
        "wss://rpc.ankr.com/polygon/ws",
        "wss://lb.drpc.org/ogws?network=polygon",
        "wss://polygon-mainnet.core.chainstack.com",
        "wss://ethereum-mainnet-archive-node.example.com/archive/full",
        "ws://ec2-12-34-56-78.compute-1.amazonaws.com:8546",
        "ws://polygon-node1.internal.mycompany.com:8546/ext/bc/C/ws",
    ],
)
def test_an_ordinary_url_is_no_secret(tmp_path: Path, capsys: Capture, url: str) -> None:
    """Public nodes, own machines, paths of words and numbers stand in a file as they are."""
    assert check(tmp_path, GOOD.replace("wss://node.example", url)) == 0, capsys.readouterr().err


def test_condition_ids_are_no_private_keys(tmp_path: Path, capsys: Capture) -> None:
    """They have the same shape, and their place says what they are."""
    catalog = tmp_path / "catalog.jsonl"
    catalog.write_text(f'{{"token_id": "1", "condition_id": "0x{KEY}"}}\n')
    allowed = f'[follow.filters]\ncondition_allow = ["0x{KEY}"]\n[catalog]\nfile = "{catalog}"\n'
    assert check(tmp_path, GOOD + allowed) == 0, capsys.readouterr().err


def test_token_ids_are_no_api_tokens(tmp_path: Path, capsys: Capture) -> None:
    """A market maker is configured with the numbers of its outcomes; anything else that is called so is still refused."""
    tokens = f'["{1 << 255}", "{"7" * 64}"]'
    maker = f'[decoder.fpmm]\npools = [{{ address = "0x{"ab" * 20}", tokens = {tokens} }}]\n'
    assert check(tmp_path, GOOD + maker) == 0, capsys.readouterr().err
    contract = f'[executor.onchain]\nfpmm = [{{ conditional_tokens = "0x{"cd" * 20}" }}]\n'
    check(tmp_path, GOOD + contract)
    assert "a secret" not in capsys.readouterr().err
    assert check(tmp_path, GOOD + maker.replace(tokens, f'["0x{KEY}"]')) == 2
    err = capsys.readouterr().err
    assert "tokens[0]: expected env:NAME or file:PATH, got a secret in the file" in err
    assert KEY not in err


def test_a_mistake_among_token_ids_is_told_as_one(tmp_path: Path, capsys: Capture) -> None:
    """What stands in the place of an outcome's number, and looks like no key, is no secret."""
    maker = f'[decoder.fpmm]\npools = [{{ address = "0x{"ab" * 20}", tokens = ["WHAT"] }}]\n'
    for wrong in ("-5", "abc"):
        assert check(tmp_path, GOOD + maker.replace("WHAT", wrong)) == 2
        err = capsys.readouterr().err
        assert "tokens[0]: expected " in err
        assert wrong in err
        assert "secret" not in err


def test_venues_of_the_chain_are_read_from_the_file(tmp_path: Path, capsys: Capture) -> None:
    """A market maker and a pool are good as they are; what cannot be one is told with its place."""
    one, other = f"0x{'ab' * 20}", f"0x{'cd' * 20}"
    maker = f'{{ maker = "{one}", conditional_tokens = "{one}", collateral = "{other}", tokens = ["1", "2"] }}'
    pool = f'{{ pool = "{one}", outcome = "{one}", collateral = "{other}", router = "{one}", quoter = "{one}" }}'
    venues = f"[executor.onchain]\nfpmm = [{maker}]\npools = [{pool}]\n"
    check(tmp_path, GOOD + venues)
    assert "executor.onchain" not in capsys.readouterr().err
    assert (
        check(tmp_path, GOOD + venues.replace('"1", "2"', '"1"').replace(f'outcome = "{one}"', f'outcome = "{other}"'))
        == 2
    )
    err = capsys.readouterr().err
    assert "executor.onchain.fpmm[0].tokens: expected two outcomes at least, got 1" in err
    assert "executor.onchain.pools: expected two tokens of a pool" in err


def test_urls_may_come_from_the_environment_or_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A named secret is read; a file that others can read is refused."""
    for written in ("wss://node.example/secret", " wss://node.example/secret\r\n"):
        monkeypatch.setenv("NODE_URL", written)
        assert check(tmp_path, GOOD.replace("wss://node.example", "env:NODE_URL")) == 0
    file = tmp_path / "url"
    file.write_text("\ufeffwss://node.example/secret\r\n")
    named = GOOD.replace("wss://node.example", f"file:{file}")
    file.chmod(0o644)
    assert check(tmp_path, named) == 2
    assert "mode 0600; chmod 600" in capsys.readouterr().err
    file.chmod(0o600)
    assert check(tmp_path, named) == 0
    os.remove(file)
    assert check(tmp_path, named) == 2


def test_what_moves_money_needs_live_mode_and_a_durable_store(tmp_path: Path, capsys: Capture) -> None:
    """Paper is the default, and live trading does not trust a store that forgets."""
    assert check(tmp_path, GOOD.replace("[chain]", '[engine]\nmode = "live"\n[chain]')) == 2
    assert "store.memory: expected a durable store in mode live" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{GOOD}\nx = {'9' * 5000}".encode(), "not valid TOML: a number of thousands of digits"),
        (f"{GOOD}\nx = {'[' * 5000}".encode(), "not valid TOML: nested too deep"),
        (f"{GOOD}\n[x]\ny = {'{a=' * 3000}".encode(), "not valid TOML: nested too deep"),
        (f"a{'.a' * 5000} = 1\n{GOOD}".encode(), "not valid TOML: nested too deep"),
        (f"x = {'[' * 60}{']' * 60}\n{GOOD}".encode(), "not valid TOML: nested too deep"),
        (f"# one\n# caf\xe9\n{GOOD}".encode("latin-1"), "2: not valid TOML: expected UTF-8, got the byte 0xe9"),
        (GOOD.encode("utf-16"), "1: not valid TOML: expected UTF-8, got UTF-16: save it as UTF-8"),
    ],
)
def test_what_no_toml_reader_takes_is_one_line(tmp_path: Path, capsys: Capture, text: bytes, says: str) -> None:
    """A number without end, brackets without end, and letters as other systems write them are bad input, and no bug."""
    conf = tmp_path / "conf.toml"
    conf.write_bytes(text)
    assert main(["check", str(conf)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{conf}:")
    assert says in line


@pytest.mark.parametrize("home", [None, ""])
def test_a_user_without_a_home_is_told_so(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    """A container may run as a user that the system does not know; an empty $HOME is none."""

    def unknown(user: int) -> None:
        raise KeyError(f"uid not found: {user}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setenv("HOME", home or "")
    if home is None:
        monkeypatch.delenv("HOME")
    assert main(["init", str(tmp_path / "conf.toml"), "--leader", "0x" + "11" * 20]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("expected $HOME to be set")


@pytest.mark.parametrize("words", [["check", "{conf}"], ["pnl", "--conf", "{conf}"], ["run", "{conf}", "--for", "1s"]])
def test_whoever_stands_in_a_folder_that_was_removed_is_told_so(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """A terminal that was left open; a service whose folder was made anew. No relative path leads anywhere."""
    conf = tmp_path / "books.toml"
    conf.write_text((Path(__file__).parents[2] / "conf" / "books.toml").read_text())
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert main([word.format(conf=conf) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("the folder in which this was started was removed")


def test_a_missing_file_is_one_line(capsys: Capture) -> None:
    """A wrong path is bad input, not a traceback."""
    assert main(["check", "/nowhere/conf.toml"]) == 2
    assert capsys.readouterr().err == "/nowhere/conf.toml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize("path", GONE)
def test_a_setting_that_is_gone_says_what_to_do(tmp_path: Path, capsys: Capture, path: str) -> None:
    """Whoever keeps his file from an earlier version is told what changed, and not that he cannot spell."""
    table, _, name = path.rpartition(".")
    text = GOOD.replace(
        "[store.memory]", f"[{table}]\n{name} = 2" + ("" if "store" in table else "\n[store.memory]"), 1
    )

    assert check(tmp_path, text) == 2
    assert f"{path}: is gone: " in capsys.readouterr().err
