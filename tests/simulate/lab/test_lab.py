"""Labs come and go without a trace, whatever happens to their processes."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulate.lab.errors import LabError
from simulate.lab.host import namespace
from simulate.lab.lab import Lab
from simulate.lab.layout import CHECKOUT
from tests.simulate.lab.cluster import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


def processes(root: Path) -> set[int]:
    """Pids of everything that was started for the lab in `root`, by the environment that they all inherit."""
    marker = f"SIMPLE378_LAB={root}\0".encode()
    found = set()
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                if marker in (directory / "environ").read_bytes() + b"\0":
                    found.add(int(directory.name))
            except OSError:
                continue
    return found


def kill_service(lab: Lab, program: str) -> None:
    """SIGKILL to a program of this lab."""
    for pid in processes(lab.paths.root):
        if Path(f"/proc/{pid}/comm").read_text().strip() == program:
            os.kill(pid, signal.SIGKILL)


def network_namespaces() -> set[str]:
    """The network namespaces that hold a process."""
    found = set()
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                found.add(os.readlink(directory / "ns" / "net"))
            except OSError:
                continue
    return found


@dataclass(frozen=True, slots=True)
class Machine:
    """What a lab must leave as it was."""

    mounts: str
    addresses: str
    routes: str

    @classmethod
    def now(cls) -> Machine:
        def run(*argv: str) -> str:
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

        mounts = "\n".join(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
        return cls(mounts, run("ip", "-brief", "address"), run("ip", "route"))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "simulate.cli", "lab", *arguments]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab of the test's own, not started, that must have left nothing behind at the end."""
    before = Machine.now()
    monkeypatch.setenv("SIMPLE378_LABS", str(tmp_path))
    lab = Lab("own")
    yield lab
    lab.stop()
    until(lambda: not processes(lab.paths.root), 5)
    assert Machine.now() == before


def starting(lab: Lab, until_line: str) -> subprocess.Popen[str]:
    """`simulate lab start` as a person types it, at the moment when it has said `until_line`."""
    process = subprocess.Popen(
        command("start", "--name", lab.name),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if until_line in line:
            return process
    _, errors = process.communicate()
    pytest.fail(f"never said {until_line!r}: {errors}")


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


def test_commands_run_inside_with_environment_directory_and_exit_code(lab: Lab) -> None:
    script = "pwd; echo $AWS_ENDPOINT_URL $SIMPLE378_TIME_SCALE; id -u; exit 7"
    result = lab.run(["sh", "-c", script], check=False)
    assert result.returncode == 7
    assert result.stdout.splitlines() == [
        str(lab.paths.project),
        "http://127.0.0.1:5000 10",
        str(os.getuid()),
    ]
    done = subprocess.run(
        command("exec", "--name", lab.name, "--", "sh", "-c", "exit 9"), cwd=CHECKOUT, check=False
    )
    assert done.returncode == 9


def test_a_command_ends_with_what_started_it(lab: Lab) -> None:
    process = lab.popen(["sleep", "1000"])
    inside = until(lambda: namespace.first_process(process.pid))
    until(lambda: Path(f"/proc/{inside}/comm").read_text() == "sleep\n")
    process.terminate()
    process.wait(5)
    until(lambda: not Path(f"/proc/{inside}").exists())


def test_the_services_are_there(lab: Lab) -> None:
    current = lab.require()
    assert [service.name for service in current.services if service.state not in ("ready", "done")] == []
    url = "postgresql://postgres:lab@10.78.0.5:5432/postgres"
    assert lab.run(["psql", url, "-Atc", "show max_connections"]).stdout.strip() == "400"


def test_a_running_lab_is_not_started_twice(lab: Lab) -> None:
    with pytest.raises(LabError, match="a lab already running") as error:
        Lab(lab.name).start()
    assert error.value.exit_code == 2


def test_two_labs_run_at_once_and_a_killed_one_leaves_nothing(lab: Lab, own: Lab) -> None:
    own.start()
    assert own.require().first_process != lab.require().first_process
    own.run(["touch", "/mnt/of-own"])
    assert lab.run(["test", "-e", "/mnt/of-own"], check=False).returncode == 1
    first = own.require().first_process
    network = os.readlink(f"/proc/{first.pid}/ns/net")
    assert len(processes(own.paths.root)) > 8

    os.kill(first.pid, signal.SIGKILL)
    until(lambda: not processes(own.paths.root), 10)
    assert network not in network_namespaces()
    assert own.paths.state.exists()  # nobody was left to remove it
    assert own.state() is None
    with pytest.raises(LabError, match="no lab 'own' is running"):
        own.run(["true"])

    own.start()
    lab.require()

    # A service that dies is told, by status and by whatever needs the lab.
    kill_service(own, "etcd")
    until(lambda: (current := own.state()) and current.dead_services())
    with pytest.raises(LabError, match="etcd ended") as error:
        own.run(["true"])
    assert error.value.exit_code == 1
    shown = subprocess.run(
        command("status", "--name", "own", "--json"),
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert shown.returncode == 1
    dead = [service for service in json.loads(shown.stdout)["services"] if service["state"] == "dead"]
    assert [(service["name"], service["exit_code"]) for service in dead] == [("etcd", -9)]


def test_ctrl_c_while_starting_leaves_nothing(own: Lab) -> None:
    process = starting(own, "etcd ready")
    assert processes(own.paths.root)
    process.send_signal(signal.SIGINT)
    assert end_of(process) == (130, "simulate: interrupted: lab 'own' has been stopped\n")
    assert not processes(own.paths.root)
    assert own.state() is None


def test_a_killed_starter_leaves_nothing(own: Lab) -> None:
    process = starting(own, "network")
    process.kill()
    end_of(process)
    until(lambda: not processes(own.paths.root), 15)
    assert own.state() is None


def test_a_service_that_fails_while_starting_ends_the_lab(own: Lab) -> None:
    process = starting(own, "etcd ready")
    kill_service(own, "etcd")
    code, errors = end_of(process)
    assert code == 1
    assert "could not be started: etcd ended with signal SIGKILL" in errors
    assert "fix: see the logs in" in errors
    assert not processes(own.paths.root)


def as_plain_user(directory: Path) -> tuple[list[str], dict[str, str]]:
    """How to run the command line as a plain user: a command prefix and an environment.

    If the tests run as root that is nobody, with Debian's Python, as root's own may lie where nobody else can read.
    """
    environment = {**os.environ, "SIMPLE378_LABS": str(directory)}
    if os.geteuid() != 0:
        return [sys.executable], environment
    python = "/usr/bin/python3.11"
    if not Path(python).exists():
        pytest.skip("no /usr/bin/python3.11 to run as another user")
    nobody = pwd.getpwnam("nobody")
    prefix = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]
    readable = subprocess.run(
        [*prefix, "test", "-r", str(CHECKOUT / ".venv" / "bin" / "kube-apiserver")], check=False
    )
    if readable.returncode != 0:
        pytest.skip("the checkout lies where no other user can read")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    packages = f"{CHECKOUT}:{sysconfig.get_paths()['purelib']}"
    environment |= {"PYTHONPATH": packages, "HOME": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
    return [*prefix, python], environment


@pytest.fixture
def anyones() -> Iterator[Path]:
    """A directory that other users can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="simple378-") as directory:
        yield Path(directory)


def test_a_plain_user_has_a_lab_too(anyones: Path) -> None:
    before = Machine.now()
    prefix, environment = as_plain_user(anyones)
    allowed = [*prefix[:-1], *namespace.unshare_command(["true"])]
    user_options = [] if "--user" in allowed else ["--user", "--map-current-user", "--keep-caps"]
    allowed[allowed.index("unshare") + 1 : allowed.index("unshare") + 1] = user_options
    if subprocess.run(allowed, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine forbids user namespaces")

    def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*prefix, "-m", "simulate.cli", "lab", *arguments, "--name", "plain"],
            env=environment,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )

    try:
        started = simulate("start")
        assert started.returncode == 0, started.stderr
        inside = subprocess.run(
            [
                *prefix,
                "-m",
                "simulate.cli",
                "lab",
                "exec",
                "--name",
                "plain",
                "--",
                "ip",
                "-brief",
                "address",
            ],
            env=environment,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "10.78.0.1/32" in inside.stdout
    finally:
        stopped = simulate("stop")
    assert stopped.stdout == "lab 'plain' is stopped\n"
    until(lambda: not processes(anyones / "plain"), 5)
    assert Machine.now() == before
