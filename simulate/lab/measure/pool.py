"""Gives the deployed pgbouncer another size or patience, as an operator with kubectl would: a new ConfigMap, a new pod.

Not through the stack, which refuses pools below the guide's 50; and small pools are where queues are.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus

from simulate.lab.errors import LabError
from simulate.lab.kubernetes.api import Json, KubeApi, KubeError

_LIMIT_S = 60.0
_POLL_S = 0.2


async def set_pool(api: KubeApi, namespace: str, size: int, wait_s: int) -> None:
    """Returns when only pods with these settings are left. Raises :class:`LabError` if that takes a minute."""
    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/pgbouncer"
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    found = await api.get(deployment)
    volumes = found["spec"]["template"]["spec"]["volumes"]
    mounted = next(volume["configMap"]["name"] for volume in volumes if "configMap" in volume)
    before = await api.get(f"{maps}/{mounted}")
    name = f"pgbouncer-measured-{size}-{wait_s}"
    if name == mounted:
        return
    data = {file: settings(text, size, wait_s) for file, text in before["data"].items()}
    try:
        await api.post(maps, {"metadata": {"name": name}, "data": data})
    except KubeError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
    template = {"spec": {"volumes": [{"name": "config", "configMap": {"name": name}}]}}
    await api.patch(deployment, {"spec": {"template": template}})
    await _replaced(api, namespace, deployment)


def settings(ini: str, size: int, wait_s: int) -> str:
    """pgbouncer.ini with another size and query_wait_timeout. Raises :class:`LabError` if it does not set them."""
    for key, value in (
        ("default_pool_size", size),
        ("max_db_connections", size),
        ("query_wait_timeout", wait_s),
    ):
        ini, found = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", ini)
        if found != 1:
            raise LabError(f"pgbouncer.ini sets {key} {found} times", "the measurement expects it once")
    return ini


async def _replaced(api: KubeApi, namespace: str, deployment: str) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while True:
            found = await api.get(deployment)
            pods = await api.get(f"/api/v1/namespaces/{namespace}/pods")
            if _settled(found, pods):
                return
            await asyncio.sleep(_POLL_S)


def _settled(deployment: Json, pods: Json) -> bool:
    wanted, status = deployment["spec"]["replicas"], deployment["status"]
    ours = [pod for pod in pods["items"] if pod["metadata"]["name"].startswith("pgbouncer")]
    settled = (
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas") == status.get("availableReplicas") == wanted
        and len(ours) == wanted
    )
    return bool(settled)
