"""A configuration that trades with money as far as that goes without a venue: a key, a wallet, a durable store."""

from pathlib import Path

from trio_copy.native import SecretKey

SECRET = bytes.fromhex("5afe" * 16)
OWN = SecretKey(SECRET).address
CONF = """
[engine]
mode = "live"
drain_s = 1
[chain]
chain_id = 137
[devnet]
block_every_s = 0.2
reorg_at_block = 0
drop_at_block = 0
[store.sqlite]
path = "{folder}/books.db"
[signing]
folder = "{folder}/signing"
[executor.dry-run]
[decoder.order-filled]
[wallet.hot]
key = "file:{folder}/keys/hot.hex"
address = "{own}"
[wallet.cold]
key = "file:{folder}/keys/hot.hex"
signature_type = "safe"
address = "0x00000000000000000000000000000000000000c0"
[wallet.paper]
paper_usd = 5
[[follower]]
id = "alice"
executor = "dry-run"
wallet = "hot"
[[follow]]
follower = "alice"
leader = "0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
[follow.size]
minimum_policy = "raise"
"""


def write_conf(folder: Path, *, mode: str = "live") -> Path:
    """Write the configuration and its key; returns the file."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    (keys / "hot.hex").write_text(f"0x{SECRET.hex()}\n")
    (keys / "hot.hex").chmod(0o600)
    conf = folder / "conf.toml"
    text = CONF.format(folder=folder, own=OWN)
    # A paper wallet has no place in a file that is live.
    conf.write_text(
        text.replace('"live"', '"paper"') if mode == "paper" else text.replace("[wallet.paper]\npaper_usd = 5\n", "")
    )
    return conf
