"""An RDS instance that is declared can be logged in to: user, password and database as declared."""

from __future__ import annotations

import subprocess
import sys

import pytest

from simulate.lab.lab import Lab
from tests.simulate.lab.cluster import until

pytestmark = pytest.mark.lab

_CREATE = """
import boto3
rds = boto3.client("rds")
rds.create_db_instance(
    DBInstanceIdentifier="test-databases", Engine="postgres", DBInstanceClass="db.t4g.medium",
    AllocatedStorage=20, DBName="orders", MasterUsername="Clerk", MasterUserPassword="it's %s secret",
)
"""
_CHANGE = """
import boto3
boto3.client("rds").modify_db_instance(DBInstanceIdentifier="test-databases", MasterUserPassword="another-1")
"""


def log_in(lab: Lab, password: str) -> subprocess.CompletedProcess[str]:
    query = "select current_user, current_database()"
    return lab.run(
        ["psql", "host=10.78.0.5 user=Clerk dbname=orders", "-Atc", query],
        environment={"PGPASSWORD": password},
        check=False,
    )


def test_a_declared_instance_has_its_user_and_database(lab: Lab) -> None:
    lab.run([sys.executable, "-c", _CREATE])
    until(lambda: log_in(lab, "it's %s secret").returncode == 0)
    assert log_in(lab, "it's %s secret").stdout == "Clerk|orders\n"
    assert "password authentication failed" in log_in(lab, "wrong").stderr

    lab.run([sys.executable, "-c", _CHANGE])
    until(lambda: log_in(lab, "another-1").returncode == 0)
