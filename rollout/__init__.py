"""The release procedure: a pure decision policy and the adapters that carry it out."""
