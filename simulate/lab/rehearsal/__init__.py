"""Two releases on real parts: a good one that reaches 100 %, then a bad one that is rolled back automatically."""
