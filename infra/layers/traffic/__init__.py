"""`<env>-traffic`: the listener rule with its weights, nothing else."""
