"""AWS's control-plane API for the lab: moto's server in this process, with what moto lacks added to it.

    python -m simulate.lab.aws_server            # http://127.0.0.1:5000

Added: metrics that are stored and read as CloudWatch does (periods aligned to the epoch, percentiles, any period that
is a whole number of seconds, exact dimensions), metric math, alarm evaluation, target health as the load balancer
measured it, and a few lab-only endpoints under ``/lab/`` (see ``lab_api``) that AWS does not have.
"""
