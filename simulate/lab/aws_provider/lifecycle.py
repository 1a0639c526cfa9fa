"""Create, read, update and delete of any resource, by its table entry."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from . import tags
from .aws import ApiError, Aws, ProviderError
from .calls import described, filled, merged
from .convert import as_inputs, decode, encode, find, from_attributes, to_attributes
from .diff import compare
from .spec import Api, Attributes, Call, Create, Describe, Mode, Operation, Props, ResourceType, Update, Value
from .wire import UNKNOWN

DEFAULT_TIMEOUT = 1200.0  # seconds


class Incomplete(ProviderError):
    """The resource exists, but not as declared. The engine must keep it in its state."""

    def __init__(self, resource_id: str, inputs: Props, outputs: Props, reason: ProviderError) -> None:
        super().__init__(str(reason))
        self.id, self.inputs, self.outputs = resource_id, inputs, outputs


@dataclass(frozen=True, slots=True)
class Resource:
    """A type and where to find its resources. `timeout` is how long AWS may take to get one ready, in seconds."""

    entry: ResourceType
    aws: Aws
    timeout: float = DEFAULT_TIMEOUT

    def _operation(
        self, resource_id: str, inputs: Props, olds: Props | None = None, state: Props | None = None
    ) -> Operation:
        region = None if self.entry.global_service else inputs.get("region")
        return Operation(
            self.aws.scope(self.entry.service, region),
            resource_id,
            inputs,
            olds or {},
            state or {},
            secrets.token_hex(16),
            self.timeout,
        )

    # Create -----------------------------------------------------------------------------------------------------

    def create(self, inputs: Props) -> tuple[str, dict[str, Value]]:
        operation = self._operation("", inputs)
        if isinstance(self.entry.create, Create):
            resource_id = self._create_by_call(self.entry.create, operation)
        else:
            resource_id = self.entry.create(operation)
        operation = replace(operation, id=resource_id)
        try:
            self._finish_create(operation)
            return resource_id, self._outputs(operation)
        except ProviderError as error:
            raise Incomplete(resource_id, inputs, dict(inputs), error) from error

    def _create_by_call(self, create: Create, operation: Operation) -> str:
        params = encode(self.entry.block, operation.inputs)
        if create.inside:
            outer: Api = {}
            inner = outer
            *path, last = create.inside.split(".")
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = params
            params = outer
        params = merged(params, filled(create.fixed, operation))
        if self.entry.tags is not None:
            tags.put_in_create(self.entry.tags, params, tags.wanted(operation))
        result = operation.aws.call(create.op, **params)
        resource_id = filled(create.id, operation) if create.id.startswith("{") else find(result, create.id)
        if not resource_id:
            raise ProviderError(f"{create.op}: no {create.id} in the answer {result}")
        return str(resource_id)

    def _finish_create(self, operation: Operation) -> None:
        create = self.entry.create
        if self.entry.attributes is not None:
            self._set_attributes(self.entry.attributes, operation, None)
        untagged = not (isinstance(create, Create) and self.entry.tags and self.entry.tags.on_create)
        if self.entry.tags is not None and untagged and tags.wanted(operation):
            # The tag calls of some services name a resource by its ARN.
            tags.add(
                self.entry.tags, replace(operation, state=self._live(operation) or {}), tags.wanted(operation)
            )
        if isinstance(create, Create):
            if create.then is not None:
                create.then(operation)
            if create.ready is not None:
                ready = create.ready
                operation.wait(f"{self.entry.token} {operation.id}", lambda: ready(operation))

    def preview_create(self, inputs: Props) -> dict[str, Value]:
        """The outputs as far as they are known before any call."""
        unknown = {field.name: UNKNOWN for field in self.entry.block.fields if field.mode is not Mode.INPUT}
        return unknown | dict(inputs) | self._settled(self._operation("", inputs))

    # Read -------------------------------------------------------------------------------------------------------

    def read(
        self, resource_id: str, inputs: Props, state: Props
    ) -> tuple[dict[str, Value], dict[str, Value]] | None:
        """(inputs, outputs) as they are now; None when the resource is gone. Without inputs it is an import."""
        importing = not inputs
        known = self.entry.import_inputs(resource_id) if importing and self.entry.import_inputs else inputs
        operation = self._operation(resource_id, known, state=state)
        live = self._live(operation)
        if live is None:
            return None
        shown = as_inputs(self.entry.block, live, None if importing else known)
        if "region" in known:
            shown["region"] = known["region"]
        return shown, self._settled(replace(operation, inputs=shown)) | shown | live

    def _live(self, operation: Operation) -> dict[str, Value] | None:
        api = (
            described(self.entry.read, operation)
            if isinstance(self.entry.read, Describe)
            else self.entry.read(operation)
        )
        if api is None:
            return None
        live = decode(self.entry.block, api)
        if self.entry.attributes is not None:
            call = self.entry.attributes.describe
            found = operation.aws.call(call.op, **filled(call.fixed, operation))["Attributes"]
            live = merged(live, from_attributes(self.entry.block, found))
        if self.entry.tags is not None:
            live["tagsAll"] = tags.read(self.entry.tags, replace(operation, state=live), api)
            live["tags"] = tags.own(live["tagsAll"], operation)
        return live

    def _outputs(self, operation: Operation) -> dict[str, Value]:
        live = self._live(operation)
        if live is None:
            raise ProviderError(f"{self.entry.token} {operation.id} does not exist after it was written")
        return self._settled(operation) | dict(operation.inputs) | live

    def _settled(self, operation: Operation) -> dict[str, Value]:
        """Outputs that need no answer of AWS."""
        settled: dict[str, Value] = {} if self.entry.global_service else {"region": operation.aws.region}
        if self.entry.tags is not None:
            settled["tagsAll"] = tags.wanted(operation)
        return settled

    # Update -----------------------------------------------------------------------------------------------------

    def update(self, resource_id: str, olds: Props, news: Props, state: Props) -> dict[str, Value]:
        """Changes what differs. A failed update leaves the engine's state as it was, so that all of it is tried again."""
        changed = compare(self.entry, olds, news).names
        if not changed:
            # The engine repeats an incomplete creation as an update: compare with what exists now.
            found = self.read(resource_id, news, state)
            olds = found[0] if found is not None else olds
            changed = compare(self.entry, olds, news).names
        operation = self._operation(resource_id, news, olds, state)
        for step in self.entry.update:
            if not isinstance(step, Update):
                step(operation)
            elif changed.intersection(step.names):
                params = encode(
                    self.entry.block, news, step.names if step.whole else changed.intersection(step.names)
                )
                operation.aws.call(step.call.op, **merged(filled(step.call.fixed, operation), params))
        if self.entry.attributes is not None:
            self._set_attributes(self.entry.attributes, operation, changed)
        if self.entry.tags is not None:
            tags.update(self.entry.tags, operation)
        return self._outputs(operation)

    def preview_update(self, olds: Props, news: Props, state: Props) -> dict[str, Value]:
        kept = {name: value for name, value in state.items() if name in news or name not in olds}
        return kept | dict(news) | self._settled(self._operation("", news))

    def _set_attributes(
        self, calls: Attributes, operation: Operation, changed: frozenset[str] | None
    ) -> None:
        wanted = to_attributes(self.entry.block, operation.inputs, changed)
        if wanted:
            operation.aws.call(calls.modify.op, **filled(calls.modify.fixed, operation), Attributes=wanted)

    # Delete -----------------------------------------------------------------------------------------------------

    def delete(self, resource_id: str, inputs: Props, state: Props) -> None:
        """Deletes the resource. It is no error if it is gone already, but an error if AWS keeps it."""
        operation = self._operation(resource_id, inputs, state=state)
        gone = self.entry.delete_gone or (
            self.entry.read.gone if isinstance(self.entry.read, Describe) else ()
        )
        try:
            if isinstance(self.entry.delete, Call):
                operation.aws.call(self.entry.delete.op, **filled(self.entry.delete.fixed, operation))
            else:
                self.entry.delete(operation)
        except ApiError as error:
            if error.code not in gone:
                raise
        if self.entry.deleted is not None:
            deleted = self.entry.deleted
            operation.wait(f"deletion of {self.entry.token} {resource_id}", lambda: deleted(operation))
