"""What to install when a command needs a part that is not there: `pip install .` brings only what the night needs."""

from __future__ import annotations

import re


def missing(error: ModuleNotFoundError) -> str | None:
    """The sentence for an import that failed, None when the module is of no optional part."""
    from importlib import metadata  # noqa: PLC0415 -- no command but one that fails needs it

    module = (error.name or "").partition(".")[0]
    try:
        requirements = metadata.requires("simple378") or []
    except metadata.PackageNotFoundError:
        return None
    for requirement in requirements:
        name = re.split(r"[^\w-]", requirement, maxsplit=1)[0].replace("-", "_").lower()
        extra = re.search(r"""extra == ['"](\w+)['"]""", requirement)
        if extra and name == module.lower():
            return f"{module} is not installed; this command needs: pip install 'simple378[{extra[1]}]'"
    return None
