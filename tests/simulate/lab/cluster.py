"""A test's hands inside a lab: HTTP requests from there, and Kubernetes objects in a namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from simulate.lab.lab import Lab

Json = dict[str, Any]
T = TypeVar("T")

#: A small program for pods: serves HTTP on port 8080 of every address, misbehaves on request.
APP = """
import http.server, os, signal, sys, threading, time
ready, hoard = [True], []
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, argument = self.path.strip("/").partition("/")
        status, text = 200, ""
        if path == "pid": text = str(os.getpid())
        elif path == "host": text = os.environ["HOSTNAME"]
        elif path == "env": text = os.environ.get(argument, "")
        elif path == "file": text = open("/" + argument).read()
        elif path == "write": text = open("/" + argument, "a").write("x") and open("/" + argument).read()
        elif path == "ready": status = 200 if ready[0] else 503
        elif path == "unready": ready[0] = False
        elif path == "slow": time.sleep(float(argument)); text = "slept"
        elif path == "eat": hoard.append(os.urandom(int(argument) << 20))
        elif path == "exit": os._exit(int(argument))
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    allow_reuse_address = True
server = Server(("", 8080), Handler)
def drain(*_):
    print("draining", flush=True)
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, drain)
server.serve_forever()
server.server_close()
print("drained", flush=True)
"""


def until(what: Callable[[], T | None], timeout_s: float = 30.0) -> T:
    """The first result that is true. Fails the test after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = what()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}, last {result!r}"
        time.sleep(0.05)


class Cluster:
    """The cluster of a lab, seen from inside it. `namespace` must be one that nobody else uses."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        self.lab = lab
        self.namespace = namespace
        self._process = subprocess.Popen(
            lab.command([sys.executable, "-I", "-S", str(Path(__file__).with_name("inside.py"))]),
            env=lab.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.post("/api/v1/namespaces", {"metadata": {"name": namespace}})

    def close(self) -> None:
        """Delete the namespace with all in it, and leave the lab."""
        self.request("DELETE", f"/api/v1/namespaces/{self.namespace}")
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def request(
        self, method: str, url: str, body: Json | None = None, kind: str = "application/json"
    ) -> Json:
        """One request from inside the lab: status, headers, text."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = {"method": method, "url": url, "body": body, "type": kind}
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        answer: Json = json.loads(self._process.stdout.readline())
        return answer

    def get(self, url: str) -> Json:
        """A Kubernetes object or list."""
        answer = self.request("GET", url)
        assert answer["status"] == 200, answer
        found: Json = json.loads(answer["text"])
        return found

    def post(self, url: str, body: Json) -> Json:
        answer = self.request("POST", url, body)
        assert answer["status"] in (200, 201), answer
        made: Json = json.loads(answer["text"])
        return made

    def path(self, kind: str, name: str = "") -> str:
        """Where objects of a kind live in our namespace."""
        group = {
            "deployments": "apis/apps/v1",
            "jobs": "apis/batch/v1",
            "endpointslices": "apis/discovery.k8s.io/v1",
        }.get(kind, "api/v1")
        return f"/{group}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def create(self, kind: str, name: str, **rest: Any) -> Json:
        return self.post(self.path(kind), {"metadata": {"name": name}, **rest})

    def deploy(self, name: str, container: Json, replicas: int = 1, **pod: Any) -> None:
        """A Deployment and a Service `name` on port 80 for its port 8080."""
        labels = {"app": name}
        template = {
            "metadata": {"labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 10,
                "containers": [{"name": "main", **container}],
                **pod,
            },
        }
        self.create(
            "deployments",
            name,
            spec={"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        )
        self.create("services", name, spec={"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]})

    def wait_available(self, name: str, replicas: int = 1) -> None:
        """Until all replicas are available and the Service sends to them, which it learns a moment later."""
        until(lambda: self.available(name) == replicas, 60)
        until(lambda: len(self.endpoints(name)) == replicas)
        self.wait_answers(name)

    def wait_answers(self, name: str) -> None:
        url = f"http://{name}.{self.namespace}.svc/"
        until(lambda: self.request("GET", url)["status"] != 0)

    def available(self, name: str) -> int:
        return int(self.get(self.path("deployments", name))["status"].get("availableReplicas", 0))

    def pods(self, name: str) -> list[Json]:
        items: list[Json] = self.get(self.path("pods") + f"?labelSelector=app%3D{name}")["items"]
        return items

    def container(self, name: str) -> Json:
        """The status of the only container of the only pod; {} while there is none."""
        pods = self.pods(name)
        status: Json = (pods[0]["status"].get("containerStatuses") or [{}])[0] if pods else {}
        return status

    def endpoints(self, name: str) -> set[str]:
        """Addresses that the Service may send to."""
        slices = self.get(
            self.path("endpointslices") + f"?labelSelector=kubernetes.io%2Fservice-name%3D{name}"
        )
        return {
            address
            for part in slices["items"]
            for endpoint in part.get("endpoints") or []
            if endpoint["conditions"]["ready"]
            for address in endpoint["addresses"]
        }

    def ask(self, name: str, path: str) -> str:
        """What the Service answers; it must be 200."""
        answer = self.request("GET", f"http://{name}.{self.namespace}.svc/{path}")
        assert answer["status"] == 200, answer
        text: str = answer["text"]
        return text
