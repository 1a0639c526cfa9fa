"""What set-up finds to do, on a checkout with stand-ins for pip, apt-get, downloads and builds."""

import fcntl
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import debian, environment, setup
from tools.console import SetupError, run
from tools.programs import Program, programs
from tools.setup import Setup, main

CHECKOUT = Path(__file__).parents[2]


class Machine:
    """Stand-in for what set-up drives; notes what was done to it."""

    def __init__(self, root: Path) -> None:
        self.checkout = root / "checkout"
        self.cache = root / "cache"
        self.done: list[str] = []
        self.missing: list[str] = []
        self.broken: str | None = None
        self.checkout.mkdir()
        shutil.copytree(CHECKOUT / "tools" / "go", self.checkout / "tools" / "go")
        for name in ("requirements.lock", "pyproject.toml"):
            shutil.copy(CHECKOUT / name, self.checkout)

    def setup(self) -> Setup:
        return Setup(self.checkout, self.cache)

    def names(self) -> list[str]:
        return [step.name for step in self.setup().steps()]

    def install_packages(self, packages: list[str], log: Path) -> None:
        self.done.append("debian " + " ".join(packages))
        self.missing = []

    def create(self, python: str, folder: Path, lock: Path, logs: Path) -> None:
        self.done.append("packages")
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").touch()

    def install_project(self, folder: Path, checkout: Path, logs: Path) -> None:
        self.done.append("project")
        (folder / "bin" / "rollout").touch()

    def download(self, program: Program, folder: Path) -> None:
        if program.name == self.broken:
            raise SetupError("broken", exit_code=1)
        self.done.append(program.name)
        (folder / program.name).touch()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr(debian, "missing", lambda: machine.missing)
    monkeypatch.setattr(debian, "install", machine.install_packages)
    monkeypatch.setattr(environment, "create", machine.create)
    monkeypatch.setattr(environment, "install_project", machine.install_project)
    monkeypatch.setattr(setup, "download", machine.download)
    return machine


PROGRAMS = [program.name for program in programs(CHECKOUT)]


def test_a_new_machine_gets_everything_in_order(machine: Machine) -> None:
    machine.missing = ["haproxy"]
    machine.setup().run()
    assert machine.done == ["debian haproxy", "packages", "project", *PROGRAMS]
    assert all((machine.checkout / ".venv" / "bin" / name).exists() for name in PROGRAMS)


def test_a_second_run_does_nothing(machine: Machine) -> None:
    machine.setup().run()
    machine.done.clear()
    machine.setup().run()
    assert machine.done == []
    assert machine.names() == []


def append(file: Path) -> None:
    file.write_text(file.read_text() + "\n")


@pytest.mark.parametrize(
    ("change", "left"),
    [
        # What rebuilds the environment empties its bin, too.
        (
            lambda root: append(root / "requirements.lock"),
            ["packages", "project", *PROGRAMS],
        ),
        (lambda root: append(root / "pyproject.toml"), ["project"]),
        (lambda root: append(root / "tools/go/vegeta/go.sum"), ["vegeta"]),
        (lambda root: (root / ".venv/bin/kube-scheduler").unlink(), ["kube-scheduler"]),
        (lambda root: (root / ".venv/set-up.json").write_text('{"pac'), ["packages", "project", *PROGRAMS]),
    ],
    ids=["lock", "pyproject", "go.sum", "program gone", "record torn"],
)
def test_a_change_redoes_what_hangs_on_it(
    machine: Machine, change: Callable[[Path], object], left: list[str]
) -> None:
    machine.setup().run()
    change(machine.checkout)
    assert machine.names() == left


def test_a_failure_keeps_what_was_done(machine: Machine) -> None:
    machine.broken = "pulumi"
    with pytest.raises(SetupError, match="broken"):
        machine.setup().run()
    assert machine.names() == [name for name in PROGRAMS if name != "vegeta"]


def test_a_checkout_that_was_moved_is_set_up_again(machine: Machine) -> None:
    machine.setup().run()
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("elsewhere"))
    assert machine.names()[0] == "packages"


def test_another_checkout_takes_programs_from_the_cache(machine: Machine) -> None:
    machine.setup().run()
    machine.done.clear()
    shutil.rmtree(machine.checkout / ".venv")
    machine.setup().run()
    assert machine.done == ["packages", "project"]


def test_two_at_once_work_one_after_the_other(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.cache.mkdir()
    with (machine.cache / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = threading.Thread(target=machine.setup().run)
        second.start()
        while "waiting for it" not in capsys.readouterr().out:
            assert second.is_alive()
        assert machine.done == []
        fcntl.flock(held, fcntl.LOCK_UN)
        second.join()
    assert machine.done[0] == "packages"


def test_a_cache_that_cannot_be_written(machine: Machine, tmp_path: Path) -> None:
    machine.cache = tmp_path / "file" / "cache"
    machine.cache.parent.touch()
    with pytest.raises(SetupError, match="XDG_CACHE_HOME"):
        machine.setup().run()
    assert machine.done == []


def test_neither_root_nor_sudo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda name, **_: None if name == "sudo" else f"/usr/bin/{name}")
    with pytest.raises(SetupError, match="apt-get install etcd-server haproxy") as caught:
        debian.install(["etcd-server", "haproxy"], tmp_path / "log")
    assert caught.value.exit_code == 2


def test_missing_programs_are_named_by_package() -> None:
    wanted = {
        "sh": "dash",
        "no-such-program": "b-package",
        "/no/such/*/file": "a-package",
        "nor-this": "b-package",
    }
    assert debian.missing(wanted) == ["a-package", "b-package"]


def test_a_failed_command_names_its_log_and_shows_its_end(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "step.log"
    with pytest.raises(SetupError, match="no such module") as caught:
        run("building tool", ["sh", "-c", "echo no such module >&2; exit 3"], log)
    assert str(log) in str(caught.value)
    assert caught.value.exit_code == 1


def test_wrong_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_answers", lambda *_: False)
    with pytest.raises(SetupError, match=r"install python3\.11"):
        environment.interpreter()


def test_any_python_of_the_lock_file_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for set-up's own Python that is too old, and a newer one on PATH."""
    monkeypatch.setattr(environment, "_answers", lambda python, _: python.endswith("python3.13"))
    monkeypatch.setattr("shutil.which", lambda name: f"/opt/{name}" if name != "python3.11" else None)
    assert environment.interpreter() == "/opt/python3.13"


def test_the_package_for_environments_is_of_the_same_version() -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert environment.venv_package(sys.executable) == f"python{version}-venv"


def test_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--force"]) == 2
    assert "no arguments" in capsys.readouterr().err
