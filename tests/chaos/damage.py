"""Files, disks and clocks that are not what they should be."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tests.certificate_authority import CertificateAuthority
from tests.chaos.fault import Act, answers, problems, shows, timed
from tests.chaos.site import SHARED_MEMORY
from tests.chaos.world import SECURE, World
from tests.waiting import until

MANY = 10_000

Spoil = Callable[[Path, CertificateAuthority], None]
"""Makes of the path of a bundle what no proxy can use."""


def garbage(path: Path, _: CertificateAuthority) -> None:
    """Bytes that mean nothing."""
    path.write_bytes(bytes(range(256)) * 8)


def truncated(path: Path, authority: CertificateAuthority) -> None:
    """The first half of a bundle, as a copy that was broken off leaves it."""
    pem = authority.issue(SECURE).bundle_pem
    path.write_bytes(pem[: len(pem) // 2])


def empty(path: Path, _: CertificateAuthority) -> None:
    """Nothing."""
    path.write_bytes(b"")


def swapped_key(path: Path, authority: CertificateAuthority) -> None:
    """The key of another certificate."""
    path.write_bytes(authority.issue(SECURE).private_key_pem + authority.issue(SECURE).leaf_and_chain_pem)


def wrong_mode(path: Path, authority: CertificateAuthority) -> None:
    """A good bundle that may not be read."""
    path.write_bytes(authority.issue(SECURE).bundle_pem)
    path.chmod(0)


def directory(path: Path, _: CertificateAuthority) -> None:
    """A folder of that name, which is not empty."""
    path.unlink()
    path.mkdir()
    (path / "a.pem").write_bytes(b"")


SPOILS: tuple[tuple[Spoil, int], ...] = (
    (garbage, 1),
    (truncated, 0),
    (empty, 0),
    (swapped_key, 1),
    (wrong_mode, 1),
    (directory, 1),
)
"""Each with the times that ``make test`` has for it."""


def spoiled(spoil: Spoil) -> Act:
    """The bundle that is served, and one for a new name, are spoiled; what was served is served until they are good."""

    def act(world: World, times: int) -> Iterator[float]:
        for number in range(times):
            paths = [world.site.settings.issued_folder / f"{name}.pem" for name in ("a", f"new-{number}")]
            paths[1].write_bytes(b"")
            for path in paths:
                spoil(path, world.site.authority)
            until(lambda: all(path.stem in problems(world) for path in paths), "words about both")  # noqa: B023
            world.go_on(50)
            for path in paths:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            renewed = world.site.publish("a", SECURE)
            yield timed(lambda: shows(world, SECURE, renewed.serial), "the good bundle")  # noqa: B023

    return act


def many_files(world: World, times: int) -> Iterator[float]:
    """A volume of as many good bundles; then one is renewed among them."""
    folder = world.site.settings.issued_folder
    key = ec.generate_private_key(ec.SECP256R1())
    issued = [(f"m{n}", world.site.authority.issue(f"m{n}.test", private_key=key)) for n in range(times)]
    for name, one in issued:
        path = folder / f".{name}"
        path.write_bytes(one.bundle_pem)
        path.rename(folder / f"{name}.pem")
    # They come in the order of their names.
    last, one = max(issued, key=lambda item: item[0])
    yield timed(lambda: shows(world, f"{last}.test", one.serial), "the last", 1800)
    renewed = world.site.publish("a", SECURE)
    yield timed(lambda: shows(world, SECURE, renewed.serial), "a renewal among them", 120)


def full_disks(world: World, times: int) -> Iterator[float]:
    """Nothing can be written any more; when there is room again, what was to be done is done."""
    filling = SHARED_MEMORY / f"full-{os.getpid()}"
    for number in range(times):
        with _filled(filling):
            renewed = world.site.publish("a", SECURE)
            world.start(f"f{number}.test", f"f{number}")
            until(lambda: os.strerror(errno.ENOSPC) in problems(world), "words about the disk")
            world.go_on(200)
        yield timed(
            lambda: shows(world, SECURE, renewed.serial) and answers(world, f"f{number}.test"),  # noqa: B023
            "what the disk had no room for",
        )


@contextlib.contextmanager
def _filled(path: Path) -> Iterator[None]:
    """A file that leaves no byte for anybody."""
    try:
        with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
        yield
    finally:
        path.unlink()
