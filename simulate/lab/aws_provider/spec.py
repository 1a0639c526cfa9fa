"""The types of the table: what describes one AWS resource type.

A `ResourceType` names the API calls that create, describe, update and delete a resource, and how Pulumi's camelCase
properties map to members of those calls. `check`, `convert`, `diff` and `lifecycle` contain no type by name.
Where an API is irregular the entry has a function, which gets an `Operation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aws import Scope

Value = Any  # JSON-like, or UNKNOWN
Props = Mapping[str, Value]
Api = dict[str, Any]  # parameters or results in AWS's own member names


class Scalar(Enum):
    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "JSON document"  # a string; two documents that differ only in layout are equal
    ARCHIVE = "archive"  # files to be sent as one zip; two of the same hash are equal


STRING, INTEGER, NUMBER, BOOLEAN, JSON, ARCHIVE = Scalar

SAME_LEVEL = "."  # the `api` of a block whose members AWS has beside the others


@dataclass(frozen=True, slots=True)
class Block:
    fields: tuple[Field, ...]

    def named(self, name: str) -> Field | None:
        return next((each for each in self.fields if each.name == name), None)


@dataclass(frozen=True, slots=True)
class ListOf:
    """`key` names the member that identifies an item of an unordered list of blocks, so that a change is reported
    at the item it happened to."""

    item: Type
    unordered: bool = False
    key: str = ""
    quantity: bool = False  # CloudFront's {"Quantity": n, "Items": [...]}
    at_least: int = 0
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class MapOf:
    """`pairs` names the two members of the API's list of pairs; empty: the API has a map."""

    item: Scalar = Scalar.STRING
    pairs: tuple[str, str] | tuple[()] = ()


Type = Scalar | Block | ListOf | MapOf


class Mode(Enum):
    INPUT = "input"
    OUTPUT = "output"  # only AWS sets it
    EITHER = "either"  # AWS chooses if the program does not declare it


ValueCheck = Callable[[Value], str | None]  # the reason why AWS would refuse the value, or None


@dataclass(frozen=True, slots=True)
class Field:
    """One property. `api` is the member in the create call and in the description, dotted when it is nested there;
    empty when only the entry's functions carry it. `attribute` is a key of the type's attribute calls instead."""

    name: str
    api: str = ""
    type: Type = Scalar.STRING
    _: Any = field(default=None, kw_only=True, repr=False)
    required: bool = field(default=False, kw_only=True)
    default: Value = field(default=None, kw_only=True)
    replace: bool = field(default=False, kw_only=True)
    mode: Mode = field(default=Mode.INPUT, kw_only=True)
    attribute: str = field(default="", kw_only=True)
    sent: bool = field(
        default=True, kw_only=True
    )  # False: the entry's functions set it in calls of their own
    shown: bool = field(
        default=True, kw_only=True
    )  # False: no description has it; it is taken to be as declared
    checks: tuple[ValueCheck, ...] = field(default=(), kw_only=True)
    encode: Callable[[Value], Any] | None = field(default=None, kw_only=True)
    decode: Callable[[Any], Value] | None = field(default=None, kw_only=True)


def output(
    name: str, api: str = "", kind: Type = Scalar.STRING, decode: Callable[[Any], Value] | None = None
) -> Field:
    return Field(name, api, kind, mode=Mode.OUTPUT, decode=decode)


@dataclass(frozen=True, slots=True)
class Failure:
    """`path` is the Pulumi property, such as `actions[0].forward.targetGroups[1].weight`."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A provider operation in progress, for an entry's functions. `id` is empty while the resource is being made; `olds` are the inputs
    before an update, else empty; `token` is made up for this operation."""

    aws: Scope
    id: str
    inputs: Props
    olds: Props
    state: Props
    token: str

    timeout: float  # seconds

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        self.aws.aws.wait(what, done, self.timeout)

    def changed(self, *names: str) -> bool:
        return any(self.inputs.get(name) != self.olds.get(name) for name in names)


@dataclass(frozen=True, slots=True)
class Call:
    """An API operation. `fixed` values are templates: `{id}` and `{property}` are replaced; a list holds one."""

    op: str
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Create:
    """The call that makes the resource from all properties that have an `api` member. `id` is the path in its result,
    or a template."""

    op: str
    id: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    inside: str = ""  # the parameter under which the properties are put, such as DistributionConfig
    then: Callable[[Operation], None] | None = None  # what AWS needs in further calls
    ready: Callable[[Operation], bool] | None = None


@dataclass(frozen=True, slots=True)
class Describe:
    """The call that shows the resource. `path` leads to it in the result; `gone` are the error codes that mean that it
    no longer exists; `absent` recognises a deleted resource that AWS still lists (NAT gateways)."""

    call: Call
    path: str
    gone: tuple[str, ...] = ()
    absent: Callable[[Api], bool] | None = None
    more: Callable[[Operation, Api], Api] | None = None  # further members, from further calls


@dataclass(frozen=True, slots=True)
class Update:
    """A call made when one of `names` changed. `whole`: it needs all of `names`, not only the changed ones."""

    call: Call
    names: tuple[str, ...]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Attributes:
    """ELB-like attribute calls: a list of {Key, Value} strings."""

    modify: Call
    describe: Call


@dataclass(frozen=True, slots=True)
class TagCalls:
    """The service's calls for tags. `list` is None where the description has them; `path` leads to the list of pairs.
    `on_create` is the member of the create call that takes tags, if there is one."""

    add: Call
    remove: Call
    list: Call | None
    path: str
    member: str = "Tags"
    names: str = "TagKeys"
    on_create: str = "Tags"
    ec2_type: str = ""  # the resource type in EC2's TagSpecifications
    envelope: str = ""  # the one member that holds the list, such as CloudFront's "Items"
    whole: bool = False  # `add` replaces all tags, and `remove` removes all
    mapped: bool = False  # a map instead of a list of pairs


def no_rules(_: Props) -> Iterable[Failure]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    token: str
    service: str
    fields: tuple[Field, ...]
    create: Create | Callable[[Operation], str]
    read: Describe | Callable[[Operation], Api | None]
    delete: Call | Callable[[Operation], object]
    delete_gone: tuple[str, ...] = ()
    update: Sequence[Update | Callable[[Operation], object]] = ()
    attributes: Attributes | None = None
    tags: TagCalls | None = None
    unique: tuple[
        str, ...
    ] = ()  # AWS refuses a second resource with the same values: delete before replacing
    global_service: bool = False  # global services such as CloudFront: no region property
    rules: Callable[[Props], Iterable[Failure]] = no_rules  # sees the inputs with their region
    deleted: Callable[[Operation], bool] | None = None  # awaited after delete
    import_inputs: Callable[[str], Api] | None = None  # the inputs that an import id contains
    block: Block = field(init=False)  # `fields`, and those that every such resource has

    def __post_init__(self) -> None:
        common: list[Field] = []
        if self.tags is not None:
            common += [Field("tags", type=MapOf()), output("tagsAll", kind=MapOf())]
        if not self.global_service:
            common.append(Field("region", replace=True, mode=Mode.EITHER))
        object.__setattr__(self, "block", Block((*self.fields, *common)))
