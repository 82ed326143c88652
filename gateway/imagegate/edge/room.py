"""Whether there is room for another picture: asked before a router is, so that nothing is paid for and then lost."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from imagegate.edge.problem import no_room

MIB = 1024 * 1024


class Room:
    """Looks at the disks that `folders` are on: each needs `min_free_mib` MiB to be free, and to be writable."""

    def __init__(self, folders: Sequence[Path], min_free_mib: int) -> None:
        self._folders = folders
        self._min_free = min_free_mib * MIB

    async def check(self) -> None:
        """Raises Problem (507) where nothing more should be written."""
        await asyncio.to_thread(self._check)

    def _check(self) -> None:
        for folder in self._folders:
            # A look at the rights alone would miss a disk that has become read-only.
            if not os.access(folder, os.W_OK):
                raise no_room("the disk of pictures cannot be written to")
            try:
                free = shutil.disk_usage(folder).free
            except OSError as error:
                raise no_room("the disk of pictures cannot be written to") from error
            if free < self._min_free:
                raise no_room(f"the disk of pictures has {free // MIB} MiB left, fewer than {self._min_free // MIB}")
