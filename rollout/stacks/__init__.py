"""Adapters to the Pulumi stacks: the engine, stack files, traffic and rate limit by stack update."""
