"""The page that users get: a copy of one release's."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.edge import site_layout
from infra.stacks import StackError


@dataclass(frozen=True, slots=True)
class FrontendPointerArgs:
    """`release` is the version whose page is served."""

    bucket_name: str
    release: str
    protect: bool


class FrontendPointer(pulumi.ComponentResource):
    """One object. Browsers and the distribution ask for it again each time, so a changed pointer is seen within a second; an
    invalidation of `/index.html` makes sure of it."""

    def __init__(
        self, name: str, args: FrontendPointerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("simple378:edge:FrontendPointer", name, None, opts)
        aws.s3.ObjectCopy(
            f"{name}-page",
            bucket=args.bucket_name,
            key=site_layout.PAGE,
            source=f"{args.bucket_name}/{site_layout.page_of(args.release)}",
            metadata_directive="REPLACE",
            cache_control=site_layout.PAGE_CACHE_CONTROL,
            content_type=site_layout.PAGE_CONTENT_TYPE,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.register_outputs({"release": args.release})


async def check_uploaded(bucket_name: str, release: str, stack: str) -> None:
    """Refuse a release that is not in the bucket, before anything is registered.

    Raises:
        StackError: its page is missing.
    """
    key = site_layout.page_of(release)
    # A look-up of the object itself would fail the program with an error of the provider's.
    found = await aws.s3.get_objects_output(bucket=bucket_name, prefix=key).future()
    if found is None or key not in found.keys:
        raise StackError(
            f"refused, nothing was changed: release {release} of the frontend is not in the bucket (s3://{bucket_name}/{key} is "
            f"missing). Upload it, or name another with `pulumi config set simple378:frontendRelease VERSION --stack {stack}`"
        )
