"""Image name -> local command: the one table of what the lab's node can run.

A container image is a program with its files; on this machine the programs are installed already, so the node needs
only to know which. Registry and tag do not matter, the tag reaches the program as LAB_IMAGE.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Image:
    """A program in place of an image.

    `default_arguments`: when the container gives none, as an image's CMD. `stand_in`: another program than the image's,
    so the container's own command and arguments would mean nothing to it. `unprivileged`: refuses to run as root.
    """

    entrypoint: tuple[str, ...]
    default_arguments: tuple[str, ...] = ()
    stand_in: bool = False
    unprivileged: bool = False

    def command(self, command: Sequence[str], arguments: Sequence[str]) -> list[str]:
        """What runs for a container's `command` and `args`, by Kubernetes' rules."""
        if self.stand_in:
            return [*self.entrypoint, *self.default_arguments]
        if command:
            return [*command, *arguments]
        return [*self.entrypoint, *(arguments or self.default_arguments)]


#: Keyed by the last parts of the image's name.
IMAGES = {
    "simple378/backend": Image((sys.executable, "-m", "simulate.lab.backend"), stand_in=True),
    "pgbouncer": Image(
        ("/usr/sbin/pgbouncer",), default_arguments=("/etc/pgbouncer/pgbouncer.ini",), unprivileged=True
    ),
    "python": Image((sys.executable,)),
}

_TAG_OR_DIGEST = re.compile(r"(:[A-Za-z0-9_.-]{1,128})?(@sha256:[0-9a-f]{64})?$")


def find(reference: str) -> Image | None:
    """The program for an image reference such as `registry:5000/simple378/backend:1.2.3`; None if unknown."""
    parts = _TAG_OR_DIGEST.sub("", reference).split("/")
    for length in range(len(parts), 0, -1):
        image = IMAGES.get("/".join(parts[-length:]))
        if image is not None:
            return image
    return None
