"""The Pulumi program of Simple378: what is deployed, by layer. Knows nothing of `rollout` or `simulate`."""
