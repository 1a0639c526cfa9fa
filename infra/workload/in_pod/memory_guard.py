"""Restarts the backend's pods before their memory limit ends them (Risk 7), one at a time and gracefully.

Runs in a pod of its own, as `python3 memory_guard.py`, with the standard library only, so that any image of Python 3.9 or
later will do. It evicts the one worst pod above PERCENT of its limit through the Eviction API: the disruption budget is
asked, the pod drains, and its Deployment replaces it. It evicts nothing while a pod is missing, ending or not ready, so
never a second one before the first was replaced, and never the only one.

Prints a line of JSON a round, in CloudWatch's embedded metric format: the highest share of a limit in use, and the container
restarts, those for lack of memory, and the evictions since the round before.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]
# How often a container was restarted, and whether the last time for lack of memory.
Restarts = tuple[int, bool]

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Rounds in a row that may fail before the process ends, and with that is seen: Kubernetes counts and restarts it.
PATIENCE = 10
_SUFFIXES = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


class ApiError(Exception):
    """The API server refused, or did not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True)
class Settings:
    """`percent` of a memory limit; `period` between two rounds and the age of the `youngest` pod that is evicted, in seconds.

    A pod that uses so much soon after its start does not leak: its limit is too small, and evicting it would never end.
    """

    namespace: str
    selector: str
    colour: str
    percent: float
    period: float
    youngest: float

    @classmethod
    def of(cls, environ: dict[str, str]) -> Settings:
        """Raises KeyError or ValueError."""
        return cls(
            environ["NAMESPACE"],
            environ["SELECTOR"],
            environ["COLOUR"],
            float(environ["PERCENT"]),
            float(environ["PERIOD_SECONDS"]),
            float(environ["YOUNGEST_SECONDS"]),
        )


@dataclass(frozen=True)
class Found:
    """A pod as a round found it: `percent` of the limit of its fullest container, None while that is not known."""

    name: str
    uid: str
    ready: bool
    ending: bool
    age: float
    percent: float | None
    restarts: Json = field(
        default_factory=dict
    )  # container -> (restarts, whether the last was for lack of memory)


def quantity(text: str) -> float:
    """Bytes of a Kubernetes quantity such as `512Mi`. Raises ValueError."""
    number = str(text).rstrip("kKmMGTi")
    return float(number) * _SUFFIXES[str(text)[len(number) :]]


def look(pods: list[Json], metrics: list[Json], now: float) -> list[Found]:
    """The pods of a round, from the API's objects. Pods that have run to their end are left out."""
    used = {
        (metric["metadata"]["name"], container["name"]): quantity(container["usage"]["memory"])
        for metric in metrics
        for container in metric["containers"]
    }
    return [
        _found(pod, used, now)
        for pod in pods
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]


def _found(pod: Json, used: dict[tuple[str, str], float], now: float) -> Found:
    metadata, status = pod["metadata"], pod.get("status", {})
    shares = []
    for container in pod["spec"]["containers"]:
        limit = container.get("resources", {}).get("limits", {}).get("memory")
        usage = used.get((metadata["name"], container["name"]))
        if limit is not None and usage is not None:
            shares.append(100 * usage / quantity(limit))
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions") or []}
    started = status.get("startTime")
    return Found(
        metadata["name"],
        metadata["uid"],
        conditions.get("Ready") == "True",
        "deletionTimestamp" in metadata,
        now - _epoch(started) if started else 0.0,
        max(shares) if shares else None,
        {
            entry["name"]: (
                entry["restartCount"],
                (entry.get("lastState", {}).get("terminated") or {}).get("reason") == "OOMKilled",
            )
            for entry in status.get("containerStatuses") or []
        },
    )


def _epoch(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()  # noqa: UP017 - 3.9


def to_evict(found: list[Found], settings: Settings) -> tuple[Found | None, str]:
    """The pod to evict, if any, and why none of those above the share is."""
    full = [pod for pod in found if pod.percent is not None and pod.percent > settings.percent]
    if not full:
        return None, ""
    missing = [pod.name for pod in found if pod.ending or not pod.ready]
    if missing:
        return None, f"waiting for {', '.join(sorted(missing))}"
    if len(found) == 1:
        return None, f"{full[0].name} is the only pod: evicting it would leave nobody to serve"
    old = [pod for pod in full if pod.age >= settings.youngest]
    if not old:
        return None, (
            f"{full[0].name} is younger than {settings.youngest:g} s: its memory limit is too small for what it does"
        )
    return max(old, key=lambda pod: pod.percent or 0.0), ""


class Counter:
    """Restarts since the round before. What was before the first round is not counted."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Restarts] | None = None

    def since(self, found: list[Found]) -> tuple[int, int]:
        """(restarts, those for lack of memory)."""
        now = {(pod.uid, name): state for pod in found for name, state in pod.restarts.items()}
        known, self._known = self._known, now
        if known is None:
            return 0, 0
        more = {key: count - known.get(key, (0, False))[0] for key, (count, _) in now.items()}
        return sum(more.values()), sum(1 for key, count in more.items() if count > 0 and now[key][1])


def trust(authority: str) -> ssl.SSLContext:
    """Of the authority in this file. From Python 3.13 verification is strict, and EKS's authority has no key identifier."""
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class Api:
    """The API server, as the pod's service account may use it."""

    def __init__(self, environ: dict[str, str], account: str = ACCOUNT) -> None:
        self._host = environ["KUBERNETES_SERVICE_HOST"]
        self._port = int(environ.get("KUBERNETES_SERVICE_PORT", "443"))
        self._account = account

    def request(self, method: str, path: str, body: Json | None = None) -> Json:
        """Raises ApiError; its status is 0 without an answer."""
        # Anew each time: tokens and authorities are exchanged while the pod runs.
        with open(f"{self._account}/token") as file:
            token = file.read().strip()
        context = trust(f"{self._account}/ca.crt")
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=10, context=context)
        try:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(0, f"no answer to {method} {path}: {error}") from error
        finally:
            connection.close()
        try:
            document: Json = json.loads(text)
        except ValueError:
            document = {"message": text[:200]}
        if answer.status >= http.client.BAD_REQUEST:
            raise ApiError(answer.status, f"{method} {path}: {document.get('message', '')}")
        return document

    def pods(self, settings: Settings) -> list[Found]:
        """Raises ApiError."""
        query = f"namespaces/{settings.namespace}/pods?labelSelector={quote(settings.selector)}"
        pods = self.request("GET", f"/api/v1/{query}")["items"]
        metrics = self.request("GET", f"/apis/metrics.k8s.io/v1beta1/{query}")["items"]
        return look(pods, metrics, time.time())

    def evict(self, settings: Settings, pod: Found) -> bool:
        """False when the disruption budget has no room. Raises ApiError."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": settings.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        path = f"/api/v1/namespaces/{settings.namespace}/pods/{pod.name}/eviction"
        try:
            self.request("POST", path, body)
        except ApiError as error:
            if error.status == http.client.TOO_MANY_REQUESTS:
                return False
            raise
        return True


def say(settings: Settings, text: str, **more: object) -> None:
    """One line of JSON."""
    print(json.dumps({"colour": settings.colour, "message": text, **more}), flush=True)


def emit(settings: Settings, **values: float) -> None:
    """A line in the embedded metric format."""
    units = {"MemoryPercent": "Percent"}
    metrics = [{"Name": name, "Unit": units.get(name, "Count")} for name in values]
    directive = {"Namespace": "Simple378", "Dimensions": [["Colour"]], "Metrics": metrics}
    head = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": head, "Colour": settings.colour, **values}), flush=True)


def look_round(api: Api, settings: Settings, counter: Counter) -> None:
    """Raises ApiError."""
    found = api.pods(settings)
    pod, why_not = to_evict(found, settings)
    evicted = pod is not None and api.evict(settings, pod)
    if pod is not None:
        done = "evicted" if evicted else "not evicted, the disruption budget has no room"
        say(settings, f"{pod.name} uses {pod.percent:.0f} % of its memory: {done}")
    elif why_not:
        say(settings, f"nothing is evicted: {why_not}")
    restarts, killed = counter.since(found)
    shares = [known.percent for known in found if known.percent is not None]
    emit(
        settings,
        **({"MemoryPercent": round(max(shares), 1)} if shares else {}),
        ContainerRestarts=restarts,
        OutOfMemoryKills=killed,
        MemoryEvictions=int(evicted),
    )


def main() -> int:
    # The first process of a container has no default for SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        settings, api = Settings.of(dict(os.environ)), Api(dict(os.environ))
    except (KeyError, ValueError) as error:
        print(f"the environment lacks or has a wrong value: {error}", file=sys.stderr)
        return 2
    counter, failures = Counter(), 0
    while True:
        try:
            look_round(api, settings, counter)
            failures = 0
        except (ApiError, OSError) as error:
            failures += 1
            say(settings, f"this round failed: {error}", failures=failures)
            if failures >= PATIENCE:
                return 1
        time.sleep(settings.period)


if __name__ == "__main__":
    sys.exit(main())
