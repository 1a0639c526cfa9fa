"""One point, from inside the lab: ``python -m simulate.lab.measure.inside NAMESPACE JSON`` prints what was measured."""

from __future__ import annotations

import asyncio
import json
import sys

from simulate.lab.errors import LabError
from simulate.lab.kubernetes.api import KubeApi
from simulate.lab.measure.points import Point
from simulate.lab.measure.pool import set_pool
from simulate.lab.measure.sender import measure


async def _measured(namespace: str, point: Point) -> None:
    async with KubeApi.from_environment() as api:
        await set_pool(api, namespace, point.pool, point.wait_s)
    print(json.dumps(await measure(point)))


def main(arguments: list[str]) -> int:
    namespace, text = arguments
    try:
        asyncio.run(_measured(namespace, Point(**json.loads(text))))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
