"""`<env>-blue` and `<env>-green`: the workload of one colour."""
