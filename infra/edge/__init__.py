"""What a request passes on its way in: the distribution, the rate limit, the load balancer and its rules."""
