"""`<env>`: network, load balancer, database, CDN, alarms: what rarely changes."""
