"""`<env>-frontend`: the pointer to the release of the frontend that users get."""
