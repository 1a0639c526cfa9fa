"""`<env>-limits`: the rate limit at the edge."""
