"""The guardian: sends an unwatched rollout's traffic to stable. A Lambda function, zipped with what it imports."""
