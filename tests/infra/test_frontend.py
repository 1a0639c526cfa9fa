"""The frontend: the pointer to its release, the paths that are pages, and what the distribution makes of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.edge import distribution, site_layout
from infra.stacks import StackError
from tests.infra.engine import Recording, deploy
from tests.infra.examples import FOUNDATION, FRONTEND, SECRET_OUTPUTS, STACKS

COPY = "aws:s3/objectCopy:ObjectCopy"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
FUNCTION = Path(distribution.__file__).with_name("deep_links.js")


def run(*uploaded: str) -> Recording:
    return deploy("prod-frontend", FRONTEND, STACKS, SECRET_OUTPUTS, objects=uploaded)


def test_the_pointer_is_a_copy_of_the_releases_page_and_nothing_else() -> None:
    recording = run("releases/2.1.0/index.html")
    assert [resource.type for resource in recording.cloud] == [COPY]
    page = recording.one(COPY)
    assert page.protect
    assert page.inputs == {
        "bucket": "site-bucket",
        "key": "index.html",
        "source": "site-bucket/releases/2.1.0/index.html",
        "metadataDirective": "REPLACE",
        "cacheControl": "no-cache",
        "contentType": "text/html; charset=utf-8",
    }
    assert recording.outputs == {
        "frontendRelease": "2.1.0",
        "bucketName": "site-bucket",
        "distributionId": "E123",
    }


def test_a_release_that_is_not_there_is_refused_before_anything_is_registered() -> None:
    with pytest.raises(StackError) as refused:
        run("releases/2.0.0/index.html")
    assert (
        "release 2.1.0 of the frontend is not in the bucket (s3://site-bucket/releases/2.1.0/index.html"
        in str(refused.value)
    )
    assert "`pulumi config set simple378:frontendRelease VERSION --stack prod-frontend`" in str(refused.value)


# What the function makes of a path; the lab's edge is held against the same paths (test_edge.py).
PATHS = {
    "/": "/index.html",
    "/cases": "/index.html",
    "/cases/378/notes": "/index.html",
    "/cases/": "/index.html",
    "/v1.2/cases": "/index.html",
    "/index.html": "/index.html",
    "/favicon.ico": "/favicon.ico",
    "/missing.js": "/missing.js",
    "/a.b/c.d": "/a.b/c.d",
    "/.well-known/security.txt": "/.well-known/security.txt",
}


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_function_itself_makes_pages_of_deep_links_and_leaves_files_alone() -> None:
    script = f"""{FUNCTION.read_text()}
    const paths = {json.dumps(list(PATHS))};
    const made = paths.map(uri => handler({{version: '1.0', request: {{method: 'GET', uri, querystring: {{}}, headers: {{}}}}}}));
    console.log(JSON.stringify(made.map(request => request.uri)));"""
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    assert dict(zip(PATHS, json.loads(done.stdout), strict=True)) == PATHS


def test_only_pages_go_through_the_function() -> None:
    recording = deploy("prod", FOUNDATION, STACKS)
    function = recording.one("aws:cloudfront/function:Function")
    assert (function.inputs["code"], function.inputs["publish"]) == (FUNCTION.read_text(), True)
    made = recording.one(DISTRIBUTION).inputs
    (association,) = made["defaultCacheBehavior"]["functionAssociations"]
    assert association == {
        "eventType": "viewer-request",
        "functionArn": "arn:aws:cloudfront::123456789012:function/cdn-deep-links",
    }
    releases, *api = made["orderedCacheBehaviors"]
    assert (releases["pathPattern"], releases["targetOriginId"]) == ("/releases/*", "site")
    # CachingOptimized: assets stay for as long as their Cache-Control says, in gzip and brotli, too.
    assert releases["cachePolicyId"] == "658327ea-f89d-4fab-a63d-7e88639e58f6"
    assert not any("functionAssociations" in behaviour for behaviour in (releases, *api))
    # An error is never a page with status 200.
    assert not any(
        {"responseCode", "responsePagePath"} & set(response) for response in made["customErrorResponses"]
    )


def test_what_is_overwritten_can_be_brought_back_for_a_while() -> None:
    (rule,) = (
        deploy("prod", FOUNDATION, STACKS)
        .one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
        .inputs["rules"]
    )
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 90}
    assert "expiration" not in rule, "a release that is served may be old"


def test_every_answer_tells_the_rate_limit_and_guards_the_browser() -> None:
    recording = deploy("prod", FOUNDATION, STACKS)
    policy = recording.one("aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy")
    (header,) = policy.inputs["customHeadersConfig"]["items"]
    assert header == {"header": "RateLimit-Policy", "value": '"client";q=1000;w=60', "override": True}
    assert set(policy.inputs["securityHeadersConfig"]) == {
        "contentTypeOptions",
        "frameOptions",
        "referrerPolicy",
        "strictTransportSecurity",
        "xssProtection",
    }
    made = recording.one(DISTRIBUTION).inputs
    assert {
        behaviour["responseHeadersPolicyId"]
        for behaviour in (made["defaultCacheBehavior"], *made["orderedCacheBehaviors"])
    } == {f"{policy.name}-id"}


def test_clients_are_not_told_more_than_they_may() -> None:
    with pytest.raises(StackError, match="pulumi config set simple378:advertisedRateLimit 1000 --stack prod"):
        deploy("prod", {**FOUNDATION, "simple378:advertisedRateLimit": "1500"}, STACKS)


def test_where_things_are() -> None:
    assert site_layout.page_of("1.0.0") == "releases/1.0.0/index.html"
    assert "immutable" in site_layout.ASSET_CACHE_CONTROL
