"""Stand-in for Simple378's backend: HTTP, websockets and PostgreSQL through pgbouncer, with faults that can be switched on.

    COLOUR=green VERSION=2.0.0 DATABASE_URL=postgresql://... python -m simulate.lab.backend

It keeps the application's contract with its infrastructure and nothing else: ``/health``, ``/ready``, ``/deep``,
``/api/...``, ``/ws``, the headers that name colour and version, a graceful end on SIGTERM, and the custom metrics.
"""
