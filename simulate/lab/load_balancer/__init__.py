"""Stand-in for AWS's load balancing: it does with HAProxy what an ALB, its Kubernetes controller, CloudFront and WAF do.

    python -m simulate.lab.load_balancer

- ``targets``: TargetGroupBindings and EndpointSlices of the cluster -> targets registered in the target groups;
- ``model``, ``edge_model``: what the program declared, read through AWS's own API;
- ``health``: the target groups' health checks, draining, fail-open;
- ``config``, ``edge_config``: all of that as HAProxy's configuration; ``haproxy`` runs it and changes it while it runs;
- ``log``, ``metrics``: HAProxy's log -> CloudWatch metrics under the names, dimensions, period and delay of AWS;
- ``agent``: the loop that connects them.

What it leaves out is listed in docs/lab-limits.md.
"""
