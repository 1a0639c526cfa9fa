"""Stand-in for the AWS command line, which is not installed for tests: `aws SERVICE OPERATION --option VALUE ...`.

Options are those of the operation in botocore's own model of the service, as the real one has them; anything else is an error.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
import jmespath
from botocore import xform_name


def main(service: str, operation: str, *words: str) -> None:
    given: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            given[word[2:]] = []
        else:
            given[list(given)[-1]].append(word)
    (region,), (query,), output = given.pop("region"), given.pop("query", [""]), given.pop("output", ["json"])
    client = boto3.client(service, region_name=region)
    method = operation.replace("-", "_")
    members = client.meta.service_model.operation_model(
        client.meta.method_to_api_mapping[method]
    ).input_shape.members
    names = {xform_name(name, "-"): name for name in members}
    answer = getattr(client, method)(
        **{names[option]: value(members[names[option]].type_name, texts) for option, texts in given.items()}
    )
    found = jmespath.search(query, answer) if query else answer
    if query and found in (None, []):
        sys.exit(f"aws: nothing is found at {query}")
    print(text(found) if output == ["text"] else json.dumps(found, default=str))


def value(kind: str, texts: list[str]) -> Any:
    if kind == "list" and not texts[0].startswith("["):
        return texts
    return json.loads(texts[0]) if kind in {"list", "structure"} else texts[0]


def text(found: Any) -> str:
    return "\t".join(str(one) for one in found) if isinstance(found, list) else str(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
