"""Small real file systems for tests: in memory, or on a loop device whose power can be cut. Both need root."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FS_IOC_SHUTDOWN = 0x8004587D
"""`_IOR('X', 125, __u32)` of Linux's include/uapi/linux/fs.h; known to ext4, xfs and f2fs."""

NO_LOG_FLUSH = 2
"""What was not synced is gone, the file system's own journal included: the nearest thing to pulling the plug."""

MIB = 1024 * 1024

Disk = Callable[[Path, int], Iterator[Path]]


def _run(*command: str) -> str:
    """Run a tool of the system; the test is skipped, with what the tool said, where it cannot."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(command[:2])} does not work here: {done.stderr.strip()[:200]}")
    return done.stdout.strip()


def _as_root() -> None:
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")


@contextmanager
def memory_disk(directory: Path, size: int) -> Iterator[Path]:
    """A tmpfs of `size` bytes."""
    _as_root()
    place = directory / "memory"
    place.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "edgequeue-test", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


class LoopDisk:
    """A file system in a file, mounted through a loop device; `cut` takes its power away, `mount` brings it back."""

    def __init__(self, directory: Path, size: int, kind: str = "ext4") -> None:
        self.kind = kind
        self._image = directory / "disk.img"
        self.place = directory / "disk"
        self.place.mkdir()
        with self._image.open("wb") as image:
            image.truncate(size)
        options = ["-q", "-m", "0"] if kind == "ext4" else ["-q"]
        _run(f"mkfs.{kind}", *options, str(self._image))
        self._device = _run("losetup", "-f", "--show", str(self._image))

    def mount(self) -> None:
        """Mount it; the file system's journal is replayed, as after a real power cut."""
        _run("mount", "-t", self.kind, self._device, str(self.place))

    def cut(self) -> None:
        """Cut the power: all that was not synced is gone. Kill who writes first."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            pytest.skip(f"{self.kind} cannot be shut down here: {error.strerror}")
        finally:
            os.close(descriptor)
        self.unmount()

    def unmount(self) -> None:
        subprocess.run(["umount", self.place], check=True)

    def close(self) -> None:
        """Give everything back to the system."""
        subprocess.run(["umount", "-l", self.place], check=False, capture_output=True)
        subprocess.run(["losetup", "-d", self._device], check=True)


@contextmanager
def loop_disk(directory: Path, size: int, kind: str = "ext4") -> Iterator[LoopDisk]:
    """A mounted `LoopDisk`."""
    _as_root()
    disk = LoopDisk(directory, size, kind)
    try:
        disk.mount()
        yield disk
    finally:
        disk.close()


def fill(place: Path) -> Path:
    """Take every free byte of a disk; returns the file that holds them."""
    balloon = place / "balloon"
    chunk = MIB
    descriptor = os.open(balloon, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while chunk:
            try:
                os.write(descriptor, bytes(chunk))
            except OSError:
                chunk //= 4
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return balloon
