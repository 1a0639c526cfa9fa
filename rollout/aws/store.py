"""The store of journals, lease, card and marks in S3: conditional writes decide between two machines."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from rollout.aws.clients import brief
from rollout.aws.failures import AWS_ERRORS, failure
from rollout.journal.store import StoreError

T = TypeVar("T")
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9!_.*'()-]+)*)/?")
_MISSING = ("NoSuchKey", "404")
# A precondition that does not hold, or two conditional writes at once, of which S3 lets one win.
_REFUSED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


class BadStore(ValueError):
    """The store's address cannot be one; the message says what it takes."""


class S3Store:
    """Objects of one environment below ``s3://bucket/prefix``."""

    def __init__(self, url: str, env: str) -> None:
        """Raises :class:`BadStore`."""
        found = _URL.fullmatch(url)
        if not found:
            wrong = ""
            if url.startswith("s3://"):
                wrong = "; a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens"
            raise BadStore(f"--store {url}: it takes s3://BUCKET or s3://BUCKET/PREFIX{wrong}")
        self._bucket, prefix = found[1], found[2].strip("/")
        self._prefix = "/".join(filter(None, (prefix, env))) + "/"
        self.where = f"s3://{self._bucket}/{self._prefix}"
        self._client: Any = None

    def create(self, key: str, body: bytes) -> bool:
        return self._put(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes, tag: str) -> bool:
        return self._put(key, body, IfMatch=tag)

    def write(self, key: str, body: bytes) -> None:
        self._put(key, body)

    def read(self, key: str) -> tuple[bytes, str] | None:
        def get() -> tuple[bytes, str] | None:
            try:
                found = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise
            return found["Body"].read(), found["ETag"]

        return self._call("GetObject", key, get)

    def age(self, key: str) -> float | None:
        """Seconds since the object was written: both times are S3's. ``None`` when there is none."""

        def ask() -> float | None:
            try:
                found = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise
            asked = parsedate_to_datetime(found["ResponseMetadata"]["HTTPHeaders"]["date"])
            return max(0.0, float((asked - found["LastModified"]).total_seconds()))

        return self._call("GetObject", key, ask)

    def names(self, folder: str, after: str = "") -> list[str]:
        base = f"{self._prefix}{folder}/"

        def ask() -> list[str]:
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=base, Delimiter="/", StartAfter=base + after
            )
            keys = []
            for page in pages:
                keys += [one["Key"] for one in page.get("Contents", ())]
                keys += [one["Prefix"].rstrip("/") for one in page.get("CommonPrefixes", ())]
            return sorted(key.removeprefix(base) for key in keys if key != base)

        return self._call("ListBucket", folder, ask)

    @property
    def _s3(self) -> Any:
        if self._client is None:
            self._client = brief("s3")
        return self._client

    def _put(self, key: str, body: bytes, **conditions: str) -> bool:
        def put() -> bool:
            try:
                self._s3.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=body, **conditions)
            except ClientError as error:
                if conditions and error.response["Error"]["Code"] in _REFUSED:
                    return False
                raise
            return True

        return self._call("PutObject", key, put)

    def _call(self, action: str, key: str, work: Callable[[], T]) -> T:
        try:
            return work()
        except AWS_ERRORS as error:
            raise StoreError(failure(error, f"s3:{action}", f"{self.where}{key}")) from error
