"""The frontend's layer (`<env>-frontend`): which release of the frontend users get.

Updated once a release, and to go back. A stack of its own, so that the change is one object and never the distribution. The
files of a release are uploaded before, by a pipeline.
"""

from __future__ import annotations

import pulumi

from infra.edge.frontend_pointer import FrontendPointer, FrontendPointerArgs, check_uploaded
from infra.layers.frontend.settings import FrontendSettings
from infra.settings import region
from infra.stacks import OtherStack, StackName


async def deploy(stack: StackName) -> None:
    """Register the layer's resources and export its outputs.

    Nothing is exported before the check: the engine records what a program exported even if it fails afterwards.
    """
    settings = FrontendSettings.load()
    region()
    foundation = await OtherStack.read(stack.environment)
    bucket = str(foundation.require("bucketName"))
    await check_uploaded(bucket, settings.frontend_release, stack.name)
    FrontendPointer(
        "frontend",
        FrontendPointerArgs(bucket_name=bucket, release=settings.frontend_release, protect=settings.protect),
    )
    pulumi.export("frontendRelease", settings.frontend_release)
    pulumi.export("bucketName", bucket)
    pulumi.export("distributionId", foundation.require("distributionId"))
