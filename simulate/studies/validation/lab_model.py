"""What the lab deploys, as the simulator's model: the settings are taken as they are, none is fitted."""

from __future__ import annotations

from simulate.dataplane import Backend, Database, Empirical, Law, Pool

#: Connections of a replica to pgbouncer (``simulate.lab.backend.database``): what it works on at once.
_SLOTS = 40
#: databaseMaxConnections of the lab's foundation.
DATABASE = Database(400)
#: pgbouncer looks three times a second for clients that have waited longer than query_wait_timeout (its janitor.c).
_LOOKS_S = 1 / 3


def backend(replicas: int, query: Law, work: Law, pool: int, wait_s: float) -> Backend:
    """One colour with its pgbouncer of ``pool`` connections, in whose queue a request waits for ``wait_s`` (seconds)."""
    wait = Empirical.from_samples([wait_s, wait_s + _LOOKS_S])
    return Backend(replicas, _SLOTS, query=query, work=work, pool=Pool(pool, wait=wait))
