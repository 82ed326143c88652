"""Containers with a storage of their own below build/, so that nothing of the machine's is touched."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/imagegate:e2e"
BUILD_SECONDS = 900
# Where a machine is itself a container: no more than it may give, no systemd, no network but its own.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{folder}/tmp"
"""
STORAGE = """
[storage]
driver = "{driver}"
graphroot = "{folder}/images"
runroot = "{folder}/run"
"""
# What a container of ours is given in production: nothing.
BARE = ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges")


class Engine:
    """Podman, and buildah through `make image`, with everything that they keep in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._environ = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "containers.conf").write_text(CONFIGURATION.format(folder=folder))
        for driver in ("overlay", "vfs"):
            (folder / "storage.conf").write_text(STORAGE.format(folder=folder, driver=driver))
            if self.tried("info").returncode == 0:
                return
        raise AssertionError(self.tried("info").stderr)

    def tried(self, *words: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """What came of a podman command."""
        command = ("podman", *words)
        return subprocess.run(command, env=self._environ, capture_output=True, text=True, check=False, timeout=timeout)

    def podman(self, *words: str | Path, timeout: float = 120) -> str:
        """What a podman command prints. Raises AssertionError with what it says is wrong."""
        done = self.tried(*words, timeout=timeout)
        assert done.returncode == 0, f"podman {' '.join(map(str, words))}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def make_image(self, environ: Mapping[str, str]) -> str:
        """What `make image` prints, on a base that debootstrap makes once and this storage keeps."""
        command = (
            "make", "image", f"NAME={IMAGE}", "BASE=debian", "ENGINE=buildah",
            f"BUILD_FLAGS=--isolation chroot --network host {' '.join(as_this_machine_trusts())}",
        )  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, env={**self._environ, **environ}, capture_output=True, text=True, check=False,
            timeout=BUILD_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        self.podman("image", "prune", "--force")  # those that this one takes the place of
        return done.stdout

    @contextmanager
    def running(self, name: str, command: Sequence[str], environ: Mapping[str, str], *options: str) -> Iterator[str]:
        """A container of the image, which is removed in the end; its name."""
        self.podman("rm", "--force", "--ignore", name)
        given = [f"--env={variable}={value}" for variable, value in environ.items()]
        try:
            self.podman("run", "--detach", "--name", name, *BARE, *given, *options, IMAGE, *command)
            yield name
        finally:
            self.podman("rm", "--force", "--ignore", "--volumes", "--time=0", name)

    def until(self, name: str, is_so: Callable[[], bool], within: float = 60) -> None:
        """Wait until it is so, at most `within` seconds and as long as the container runs."""
        give_up = time.monotonic() + within
        while not is_so():
            runs = self.tried("inspect", "--format={{.State.Running}}", name).stdout.strip() == "true"
            if not runs or time.monotonic() > give_up:
                raise AssertionError(f"{name} is not well: {self.tried('logs', name)}")
            time.sleep(0.1)


def as_this_machine_trusts() -> list[str]:
    """Flags with which a build reaches the package index as this machine does."""
    return [f"--volume={path}:{path}:ro" for path in ("/etc/ssl/certs", "/etc/pip.conf") if Path(path).exists()]
