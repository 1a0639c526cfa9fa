"""Pulumi's language host for Python: the program `pulumi-language-python` of this checkout.

The engine starts a language host beside itself, reads the port it prints, and asks it by gRPC to run the program of a
stack. The host that Pulumi ships is a Go program that is not published as a module, so it cannot be had on a machine
that reaches package registries only. This one serves the same protocol with the SDK's own `LanguageServer` (the one
behind the Automation API's inline programs) and runs the project's `__main__.py` in this process, which spares a start
of Python per run. It is used wherever this checkout's `.venv/bin` comes first on PATH, so that one host is tested.

Started as `pulumi-language-python [flags] ENGINE_ADDRESS`; serves until SIGINT or SIGTERM.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

# The engine's own limit on a message (400 MB); gRPC's default of 4 MB is too small for a large stack.
_MESSAGE_LIMIT = 1024 * 1024 * 400
_ENTRY_POINTS = (".", "")


class HostError(Exception):
    """The program cannot be run here; the message names what to change."""


def program_path(program_directory: str, entry_point: str) -> Path:
    """The file or package to run: `main` of Pulumi.yaml as the engine hands it over.

    Raises:
        HostError: there is no program there.
    """
    directory = Path(program_directory)
    path = directory if entry_point in _ENTRY_POINTS else directory / entry_point
    if path.is_dir():
        path = path / "__main__.py"
    if not path.is_file():
        raise HostError(f"no Python program at {path}: see `main` in Pulumi.yaml")
    return path


def check_virtualenv(root_directory: str, options: dict[str, Any]) -> None:
    """Refuse `runtime.options.virtualenv` of another environment than the one this host runs in.

    A folder that does not exist is no objection: the lab runs the project from a folder of links, without `.venv`.

    Raises:
        HostError: the named environment exists and is not this one.
    """
    named = options.get("virtualenv")
    if not named:
        return
    wanted = Path(root_directory) / str(named)
    if wanted.exists() and wanted.resolve() != Path(sys.prefix).resolve():
        raise HostError(
            f"Pulumi.yaml asks for the virtual environment {wanted}, but pulumi-language-python on PATH belongs to "
            f"{sys.prefix}: put {wanted / 'bin'} first on PATH"
        )


@contextmanager
def _as_program(path: Path, working_directory: str) -> Iterator[None]:
    """Working directory and import path as if `path` had been started by itself; afterwards as before.

    Modules of the program are forgotten at the end: the engine runs a program once for the preview and once for the
    update, and both must begin with fresh module state. Those of installed packages stay loaded.
    """
    directory = path.parent.resolve()
    before, modules, arguments, cwd = list(sys.path), set(sys.modules), list(sys.argv), Path.cwd()
    os.chdir(working_directory or directory)
    sys.path.insert(0, str(directory))
    sys.argv = [str(path)]
    try:
        yield
    finally:
        sys.path[:] = before
        sys.argv = arguments
        os.chdir(cwd)
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and directory in Path(file).resolve().parents and "site-packages" not in Path(file).parts:
                del sys.modules[name]


class PythonLanguageHost(LanguageServer):
    """Runs Python programs for the engine at `engine_address` (host:port)."""

    def __init__(self, engine_address: str) -> None:
        super().__init__(lambda: None)
        self._engine_address = engine_address
        # The SDK's state and the working directory are the process's own: one program at a time.
        self._running = threading.Lock()

    def Handshake(self, request: Any, context: Any) -> Any:
        self._engine_address = request.engine_address or self._engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        return language_pb2.RuntimeOptionsResponse()

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        installed = sorted((d.metadata["Name"], d.version) for d in metadata.distributions())
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version) for name, version in installed
            ]
        )

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        # `make setup` installs them, from the lock file.
        return iter(())

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Run(self, request: Any, context: Any) -> Any:
        try:
            info = request.info
            check_virtualenv(info.root_directory, dict(info.options))
            path = program_path(info.program_directory or request.pwd, info.entry_point or request.program)
        except HostError as error:
            return language_pb2.RunResponse(error=str(error))
        # `LanguageServer.Run` looks for the engine in the program's arguments.
        del request.args[:]
        request.args.append(self._engine_address)
        with self._running, _as_program(path, request.pwd):
            self.program = lambda: _run(path)
            result = super().Run(request, context)  # type: ignore[no-untyped-call]
        # Every error is on the engine's log by now; `bail` is a failure that is not reported a second time.
        return language_pb2.RunResponse(bail=True) if result.error else result


def _run(path: Path) -> None:
    runpy.run_path(str(path), run_name="__main__")


def serve(engine_address: str, announce: Callable[[int], None], stop: threading.Event) -> None:
    """Serve on a free port of the loopback interface, announce that port, and return once `stop` is set or the engine is gone."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=4),
        options=[
            ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
            ("grpc.max_send_message_length", _MESSAGE_LIMIT),
        ],
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(PythonLanguageHost(engine_address), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    announce(port)
    engine = os.getppid()
    # An engine that is killed sends no signal, so check whether it is still the parent.
    while not stop.wait(timeout=1) and os.getppid() == engine:
        pass
    # A program that is still running must not hold up an engine that wants to end.
    server.stop(grace=None)


def _announce(port: int) -> None:
    print(port, flush=True)


def main() -> None:
    """Entry point of `pulumi-language-python`."""
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if not arguments:
        sys.exit(
            "pulumi-language-python is started by the Pulumi engine, with the engine's address as last argument"
        )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    serve(arguments[-1], _announce, stop)
    sys.stdout.flush()
    # Past the interpreter's wait for worker threads: one may still be inside a program that nobody waits for.
    os._exit(0)


if __name__ == "__main__":
    main()
