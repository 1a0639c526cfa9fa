"""Where the frontend's files are in its bucket.

    releases/<version>/...   what a build made, never changed; its pages name its assets by this path
    index.html               a copy of one release's page: the pointer to that release

The pointer is an object and not the distribution's origin path, because a changed distribution takes longer to deploy than a
rollback of the frontend may (3 minutes). Browsers with an older page find the assets of their own release.
"""

from __future__ import annotations

PAGE = "index.html"
RELEASES = "releases"
# Assets never change under their names; the page is asked for again each time.
ASSET_CACHE_CONTROL = "public, max-age=31536000, immutable"
PAGE_CACHE_CONTROL = "no-cache"
PAGE_CONTENT_TYPE = "text/html; charset=utf-8"


def page_of(release: str) -> str:
    """The key of a release's own page."""
    return f"{RELEASES}/{release}/{PAGE}"
