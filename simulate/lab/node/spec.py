"""What a pod's spec means for a process: environment, files, memory. Pure: objects in, plain values out."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

Json = dict[str, Any]

CONFIG_MAP = "configmaps"
SECRET = "secrets"
#: Of a service account: its token, made for the pod.
TOKEN = "serviceaccounts"


class SpecError(Exception):
    """The spec cannot be carried out (yet). `reason` is one of the kubelet's, such as CreateContainerConfigError."""

    def __init__(self, message: str, reason: str = "CreateContainerConfigError") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A ConfigMap, Secret or service account that a pod names."""

    collection: str
    name: str


#: The objects that a pod's references led to; None for one that does not exist.
Objects = Mapping[Reference, Json | None]


@dataclass(frozen=True, slots=True)
class File:
    """A file of a volume: its path below the volume, content and mode."""

    path: str
    content: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a volume appears in a container. `sub_path`: only this entry of the volume."""

    volume: str
    target: str
    sub_path: str
    read_only: bool


def containers(spec: Json) -> list[Json]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def references(spec: Json) -> set[Reference]:
    """Every ConfigMap, Secret and token that must be read before the pod can start."""
    found = set()
    for container in containers(spec):
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            if "configMapKeyRef" in source:
                found.add(Reference(CONFIG_MAP, source["configMapKeyRef"]["name"]))
            if "secretKeyRef" in source:
                found.add(Reference(SECRET, source["secretKeyRef"]["name"]))
        for bulk in container.get("envFrom", []):
            found.add(_bulk_reference(bulk)[0])
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            found.add(Reference(CONFIG_MAP, volume["configMap"]["name"]))
        if "secret" in volume:
            found.add(Reference(SECRET, volume["secret"]["secretName"]))
        for source in volume.get("projected", {}).get("sources", []):
            found |= _projected_references(source, spec)
    return found


def _projected_references(source: Json, spec: Json) -> set[Reference]:
    kinds = (("configMap", CONFIG_MAP), ("secret", SECRET))
    found = {Reference(collection, source[kind]["name"]) for kind, collection in kinds if kind in source}
    if "serviceAccountToken" in source:
        found.add(Reference(TOKEN, spec.get("serviceAccountName", "default")))
    return found


def _bulk_reference(bulk: Json) -> tuple[Reference, bool]:
    if "configMapRef" in bulk:
        source = bulk["configMapRef"]
        return Reference(CONFIG_MAP, source["name"]), source.get("optional", False)
    source = bulk["secretRef"]
    return Reference(SECRET, source["name"]), source.get("optional", False)


def _data(item: Json, collection: str) -> dict[str, bytes]:
    """Keys and decoded values of a ConfigMap or Secret."""
    if collection == SECRET:
        return {key: base64.b64decode(value) for key, value in item.get("data", {}).items()}
    plain = {key: value.encode() for key, value in item.get("data", {}).items()}
    return plain | {key: base64.b64decode(value) for key, value in item.get("binaryData", {}).items()}


def _look_up(objects: Objects, reference: Reference, optional: bool) -> dict[str, bytes]:
    item = objects.get(reference)
    if item is None:
        if optional:
            return {}
        raise SpecError(f"{reference.collection[:-1]} {reference.name!r} not found")
    return _data(item, reference.collection)


_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Kubernetes' `$(NAME)`: replaced if known, else left as it is; `$$` is a literal `$`."""

    def replace(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(replace, text)


def environment(
    container: Json, pod: Json, pod_ip: str, objects: Objects, base: Mapping[str, str]
) -> dict[str, str]:
    """The variables of a container: `base`, then `envFrom`, then `env` in order, each seeing those before it.

    Raises SpecError for a missing object or key and for what the lab's node does not know.
    """
    result = dict(base)
    for bulk in container.get("envFrom", []):
        reference, optional = _bulk_reference(bulk)
        for key, value in _look_up(objects, reference, optional).items():
            result[bulk.get("prefix", "") + key] = value.decode()
    for variable in container.get("env", []):
        name = variable["name"]
        if "valueFrom" not in variable:
            result[name] = expand(variable.get("value", ""), result)
            continue
        value_from = _value_from(variable["valueFrom"], pod, pod_ip, objects)
        if value_from is not None:
            result[name] = value_from
    return result


def _value_from(source: Json, pod: Json, pod_ip: str, objects: Objects) -> str | None:
    """One variable's value; None for an optional one that does not exist."""
    if "fieldRef" in source:
        return _field(source["fieldRef"]["fieldPath"], pod, pod_ip)
    for kind, collection in (("configMapKeyRef", CONFIG_MAP), ("secretKeyRef", SECRET)):
        if kind in source:
            reference = source[kind]
            optional = reference.get("optional", False)
            data = _look_up(objects, Reference(collection, reference["name"]), optional)
            if reference["key"] in data:
                return data[reference["key"]].decode()
            if optional:
                return None
            raise SpecError(f"key {reference['key']!r} not found in {collection[:-1]} {reference['name']!r}")
    raise SpecError(f"the lab's node does not know valueFrom {', '.join(source)}")


_KEYED_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


def _field(path: str, pod: Json, pod_ip: str) -> str:
    metadata, spec = pod["metadata"], pod["spec"]
    keyed = _KEYED_FIELD.fullmatch(path)
    if keyed:
        return str(metadata.get(keyed[1], {}).get(keyed[2], ""))
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": pod_ip,
        "status.hostIP": pod.get("status", {}).get("hostIP", ""),
    }
    if path not in known:
        raise SpecError(f"the lab's node does not know fieldPath {path!r}")
    return str(known[path])


def service_links(services: Iterable[Json]) -> dict[str, str]:
    """The variables `NAME_SERVICE_HOST` and `NAME_SERVICE_PORT[_PORTNAME]` for Services with a ClusterIP."""
    result = {}
    for service in services:
        address = service["spec"].get("clusterIP", "None")
        if address in ("None", ""):
            continue
        prefix = service["metadata"]["name"].upper().replace("-", "_") + "_SERVICE_"
        result[prefix + "HOST"] = address
        for number, port in enumerate(service["spec"].get("ports", [])):
            if number == 0:
                result[prefix + "PORT"] = str(port["port"])
            if "name" in port:
                result[prefix + "PORT_" + port["name"].upper().replace("-", "_")] = str(port["port"])
    return result


def volume_files(volume: Json, objects: Objects) -> Iterator[File]:
    """The files of a volume. Raises SpecError for a missing object and for kinds that the lab's node does not know."""
    name = volume["name"]
    if "emptyDir" in volume:
        return
    if "projected" in volume:
        for projected in volume["projected"].get("sources", []):
            yield from _projected_files(name, projected, objects)
        return
    if "configMap" in volume:
        source, reference = volume["configMap"], Reference(CONFIG_MAP, volume["configMap"]["name"])
    elif "secret" in volume:
        source, reference = volume["secret"], Reference(SECRET, volume["secret"]["secretName"])
    else:
        kinds = ", ".join(key for key in volume if key != "name")
        raise SpecError(f"volume {name!r}: the lab's node does not know {kinds}", "FailedMount")
    yield from _source_files(name, source, reference, objects)


def _projected_files(name: str, projected: Json, objects: Objects) -> Iterator[File]:
    if "serviceAccountToken" in projected:
        token = next(item for reference, item in objects.items() if reference.collection == TOKEN)
        if token is None:
            raise SpecError(f"volume {name!r}: the pod's service account does not exist", "FailedMount")
        yield File(projected["serviceAccountToken"]["path"], token["status"]["token"].encode(), 0o644)
        return
    for kind, collection in (("configMap", CONFIG_MAP), ("secret", SECRET)):
        if kind in projected:
            source = projected[kind]
            yield from _source_files(name, source, Reference(collection, source["name"]), objects)
            return
    raise SpecError(
        f"volume {name!r}: the lab's node does not know projected {', '.join(projected)}", "FailedMount"
    )


def _source_files(name: str, source: Json, reference: Reference, objects: Objects) -> Iterator[File]:
    data = _look_up(objects, reference, source.get("optional", False))
    mode = source.get("defaultMode", 0o644)
    if "items" not in source:
        for key, content in data.items():
            yield File(key, content, mode)
        return
    for item in source["items"]:
        path = PurePosixPath(item["path"])
        if path.is_absolute() or ".." in path.parts:
            raise SpecError(f"volume {name!r}: path {item['path']!r} leaves the volume", "FailedMount")
        if item["key"] not in data:
            raise SpecError(f"volume {name!r}: no key {item['key']!r} in {reference.name!r}", "FailedMount")
        yield File(item["path"], data[item["key"]], item.get("mode", mode))


def mounts(container: Json) -> list[Mount]:
    """Where volumes appear in a container, outer directories first."""
    found = [
        Mount(entry["name"], entry["mountPath"], entry.get("subPath", ""), entry.get("readOnly", False))
        for entry in container.get("volumeMounts", [])
    ]
    return sorted(found, key=lambda mount: mount.target)


_SUFFIXES = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}
_QUANTITY = re.compile(r"([0-9.]+(?:[eE][0-9]+)?)([mkMGT]|[KMGT]i)?")


def quantity(text: str | float) -> float:
    """A Kubernetes quantity such as `512Mi` or `250m`. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(text))
    if not match:
        raise ValueError(f"not a quantity: {text!r}")
    return float(match[1]) * _SUFFIXES[match[2] or ""]


def memory_limit(container: Json) -> int | None:
    """Bytes that a container may use; None without a limit."""
    limit = container.get("resources", {}).get("limits", {}).get("memory")
    return None if limit is None else int(quantity(limit))


def probe_port(port: int | str, container: Json) -> int:
    """A probe's port: a number, or the name of one of the container's ports. Raises SpecError."""
    if isinstance(port, int):
        return port
    for entry in container.get("ports", []):
        if entry.get("name") == port:
            return int(entry["containerPort"])
    if port.isdigit():
        return int(port)
    raise SpecError(f"no port named {port!r} in container {container['name']!r}")
