"""The path of a request into the system: the distribution, the rate limit, the load balancer and its rules."""
