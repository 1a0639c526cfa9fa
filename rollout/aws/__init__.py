"""Adapters to AWS: metrics, probes, the load balancer, notifications."""
