"""`<env>-guardian`: the watchdog that sends traffic to stable when no controller lives."""
