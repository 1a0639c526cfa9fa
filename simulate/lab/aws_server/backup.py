"""What moto 5.2.5 lacks of AWS Backup: changed plans, what plans select, and plans that test restores.

They are recorded and shown, with AWS's refusals; no backup is ever taken.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import unquote

from moto.backup import urls
from moto.backup.exceptions import (
    AlreadyExistsException,
    InvalidRequestException,
    ResourceNotFoundException,
)
from moto.backup.models import BackupBackend
from moto.backup.responses import BackupResponse
from moto.core.responses import EmptyResult
from moto.moto_api._internal import mock_random

_PATHS = (
    "{0}/backup/plans/(?P<plan>[^/]+)/selections/?$",
    "{0}/backup/plans/(?P<plan>[^/]+)/selections/(?P<selection>[^/]+)$",
    "{0}/restore-testing/plans$",
    "{0}/restore-testing/plans/(?P<plan>[^/]+)$",
    "{0}/restore-testing/plans/(?P<plan>[^/]+)/selections$",
    "{0}/restore-testing/plans/(?P<plan>[^/]+)/selections/(?P<selection>[^/]+)$",
)


def install() -> None:
    """Adds them to moto in this process, before its application is made."""
    urls.url_paths.update(dict.fromkeys(_PATHS, BackupResponse.dispatch))
    for method in (
        update_backup_plan,
        delete_backup_plan,
        create_backup_selection,
        get_backup_selection,
        delete_backup_selection,
        create_restore_testing_plan,
        get_restore_testing_plan,
        update_restore_testing_plan,
        delete_restore_testing_plan,
        create_restore_testing_selection,
        get_restore_testing_selection,
        update_restore_testing_selection,
        delete_restore_testing_selection,
    ):
        setattr(BackupResponse, method.__name__, method)


Records = dict[tuple[str, ...], dict[str, Any]]


def _records(backend: BackupBackend, kind: str) -> Records:
    """With the backend, so that a reset of moto empties them."""
    kept: Records = backend.__dict__.setdefault(f"lab_{kind}", {})
    return kept


def _names(self: BackupResponse) -> list[str]:
    """The parts of the path after `plans`, without the words of the API."""
    parts = [unquote(part) for part in self.path.split("/plans", 1)[1].split("/") if part]
    return [part for part in parts if part != "selections"]


def _body(self: BackupResponse) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(self.body)
    return body


def _found(records: Records, *names: str) -> dict[str, Any]:
    if names not in records:
        raise ResourceNotFoundException(msg=f"{'/'.join(names)} does not exist")
    return records[names]


def _must_exist(self: BackupResponse, plan: str) -> None:
    self.backup_backend.get_backup_plan(backup_plan_id=plan, version_id=None)


# Plans and what they select -------------------------------------------------------------------------------------


def update_backup_plan(self: BackupResponse) -> str:
    (identifier,) = _names(self)
    plan = self.backup_backend.get_backup_plan(backup_plan_id=identifier, version_id=None)
    plan.backup_plan = _body(self)["BackupPlan"]
    plan.version_id = mock_random.get_random_string(length=48)
    return json.dumps(plan.to_dict())


def delete_backup_plan(self: BackupResponse) -> str:
    (identifier,) = _names(self)
    plan = self.backup_backend.get_backup_plan(backup_plan_id=identifier, version_id=None)
    if any(of == identifier for of, _ in _records(self.backup_backend, "selections")):
        raise InvalidRequestException(
            msg="Related backup plan selections must be deleted prior to backup plan deletion"
        )
    # moto would keep its name.
    del self.backup_backend.plans[identifier]
    return json.dumps({**plan.to_dict(), "DeletionDate": time.time()})


def create_backup_selection(self: BackupResponse) -> str:
    (plan,) = _names(self)
    _must_exist(self, plan)
    made = {"SelectionId": str(mock_random.uuid4()), "BackupPlanId": plan, "CreationDate": time.time()}
    kept = made | {"BackupSelection": _body(self)["BackupSelection"]}
    _records(self.backup_backend, "selections")[plan, str(made["SelectionId"])] = kept
    return json.dumps(made)


def get_backup_selection(self: BackupResponse) -> str:
    return json.dumps(_found(_records(self.backup_backend, "selections"), *_names(self)))


def delete_backup_selection(self: BackupResponse) -> EmptyResult:
    plan, selection = _names(self)
    records = _records(self.backup_backend, "selections")
    _found(records, plan, selection)
    del records[plan, selection]
    return EmptyResult()


# Tests of restores ----------------------------------------------------------------------------------------------


def _keep(records: Records, names: tuple[str, ...], values: dict[str, Any]) -> str:
    if names in records:
        raise AlreadyExistsException(msg=f"{'/'.join(names)} already exists")
    records[names] = values | {"CreationTime": time.time()}
    return json.dumps(records[names])


def _replace(records: Records, names: tuple[str, ...], values: dict[str, Any]) -> str:
    _found(records, *names).update(values)
    return json.dumps(records[names])


def create_restore_testing_plan(self: BackupResponse) -> str:
    values = _body(self)["RestoreTestingPlan"]
    name, where = values["RestoreTestingPlanName"], self.backup_backend
    arn = f"arn:aws:backup:{where.region_name}:{where.account_id}:restore-testing-plan:{name}"
    return _keep(_records(where, "tests"), (name,), values | {"RestoreTestingPlanArn": arn})


def get_restore_testing_plan(self: BackupResponse) -> str:
    return json.dumps({"RestoreTestingPlan": _found(_records(self.backup_backend, "tests"), *_names(self))})


def update_restore_testing_plan(self: BackupResponse) -> str:
    (name,) = _names(self)
    return _replace(_records(self.backup_backend, "tests"), (name,), _body(self)["RestoreTestingPlan"])


def delete_restore_testing_plan(self: BackupResponse) -> EmptyResult:
    (name,) = _names(self)
    records = _records(self.backup_backend, "tests")
    _found(records, name)
    if any(of == name for of, _ in _records(self.backup_backend, "tested")):
        raise InvalidRequestException(msg="Restore testing plan has selections, which must be deleted first")
    del records[(name,)]
    return EmptyResult()


def create_restore_testing_selection(self: BackupResponse) -> str:
    (plan,) = _names(self)
    _found(_records(self.backup_backend, "tests"), plan)
    values = _body(self)["RestoreTestingSelection"] | {"RestoreTestingPlanName": plan}
    name = values["RestoreTestingSelectionName"]
    return _keep(_records(self.backup_backend, "tested"), (plan, name), values)


def get_restore_testing_selection(self: BackupResponse) -> str:
    found = _found(_records(self.backup_backend, "tested"), *_names(self))
    return json.dumps({"RestoreTestingSelection": found})


def update_restore_testing_selection(self: BackupResponse) -> str:
    plan, name = _names(self)
    return _replace(
        _records(self.backup_backend, "tested"), (plan, name), _body(self)["RestoreTestingSelection"]
    )


def delete_restore_testing_selection(self: BackupResponse) -> EmptyResult:
    plan, name = _names(self)
    records = _records(self.backup_backend, "tested")
    _found(records, plan, name)
    del records[plan, name]
    return EmptyResult()
