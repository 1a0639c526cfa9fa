"""Becomes a container: enters the pod's network, puts its volumes where the spec mounts them, drops root, runs the program.

Started as a script of its own for every container start, so it imports nothing but the small part of the standard
library that it needs. Its only argument is a JSON object:

    netns    file of the pod's network namespace
    root     an empty directory in which to assemble the container's root
    hide     a directory that the container must find empty (the lab's data)
    private  directories of which each container has an empty one of its own (such as an image's /tmp)
    keep     directories that stay visible even there (programs installed below /tmp)
    mounts   list of {"source", "target", "read_only"}; a missing target is made
    argv, environment, directory
    user     null, or {"uid", "gid"} to become
"""

import ctypes
import json
import os
import platform
import sys

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
OLD = "/.node"

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    result = libc.mount(*encoded, ctypes.c_ulong(flags), None if data is None else data.encode())
    check(result, f"mount {source} on {target}")


def unmount(target: str) -> None:
    check(libc.umount2(target.encode(), MNT_DETACH), f"unmount {target}")


def show(source: str, target: str) -> None:
    """Bind the file, directory or link `source` as the new entry `target`."""
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        os.mkdir(target)
        mount(source, target, None, MS_BIND | MS_REC)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        mount(source, target, None, MS_BIND)


def enter_new_root(root: str, hide: str) -> None:
    """A root of the container's own, in which new entries can be made, showing the machine's directories."""
    mount("pod", root, "tmpfs", 0, "mode=755")
    for entry in os.listdir("/"):
        if f"/{entry}" == hide:
            os.mkdir(root + hide)
        elif not f"/{entry}".startswith(OLD):
            show(f"/{entry}", f"{root}/{entry}")
    os.mkdir(root + OLD)
    check(libc.syscall(PIVOT_ROOT[platform.machine()], root.encode(), (root + OLD).encode()), "pivot_root")
    os.chdir("/")


def cover(directory: str) -> None:
    """An empty directory of the container's own in place of the machine's."""
    mount("pod", os.path.realpath(directory), "tmpfs", 0, "mode=1777")


def make_room(directory: str) -> None:
    """Make `directory` where it is missing, without a trace on the machine's own file system.

    The deepest directory that exists is covered by a tmpfs that shows all it held before; there the rest can be made.
    """
    parent = directory
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    if parent == directory:
        return
    if parent != "/":
        stash = f"{OLD}-covered"
        os.mkdir(stash)
        mount(parent, stash, None, MS_BIND | MS_REC)
        mount("pod", parent, "tmpfs", 0, "mode=755")
        for entry in os.listdir(stash):
            show(f"{stash}/{entry}", f"{parent}/{entry}")
        unmount(stash)
        os.rmdir(stash)
    os.makedirs(directory)


def put(source: str, target: str, read_only: bool) -> None:
    target = os.path.realpath(target)
    if os.path.isdir(source):
        make_room(target)
    else:
        make_room(os.path.dirname(target))
        if not os.path.exists(target):
            make_room(target)
            os.rmdir(target)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        mount(None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY)


def find(program: str, environment: dict[str, str]) -> str:
    """The program's path. os.execvpe would import more, which the container's user may not be allowed to read."""
    for directory in environment.get("PATH", "").split(":"):
        path = f"{directory}/{program}"
        if "/" not in program and os.access(path, os.X_OK):
            return path
    return program


def main() -> None:
    spec = json.loads(sys.argv[1])
    with open(spec["netns"], "rb") as netns:
        check(libc.setns(netns.fileno(), CLONE_NEWNET), "setns")
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    enter_new_root(spec["root"], spec["hide"])
    for directory in spec["private"]:
        cover(directory)
    for entry in spec["mounts"]:
        put(OLD + entry["source"], entry["target"], entry["read_only"])
    for path in spec["keep"]:
        if not os.path.isdir(path):  # a private directory or a volume hides it
            os.makedirs(path)
            mount(OLD + path, path, None, MS_BIND | MS_REC)
    unmount(OLD)
    os.rmdir(OLD)
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if spec["user"] is not None:
        os.setgroups([])
        os.setgid(spec["user"]["gid"])
        os.setuid(spec["user"]["uid"])
    os.chdir(spec["directory"])
    try:
        os.execve(find(spec["argv"][0], spec["environment"]), spec["argv"], spec["environment"])  # noqa: S606
    except OSError as error:
        print(f"{spec['argv'][0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main()
