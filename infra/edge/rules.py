"""What the rules of the listener have in common: headers and priorities."""

# CloudFront adds it to every request it forwards; without it nobody gets past the listener.
ORIGIN_HEADER = "X-Origin-Verify"
# The test route: the secret opens it, the colour chooses the side.
TEST_HEADER = "X-Simple378-Test"
COLOUR_HEADER = "X-Simple378-Colour"

# Rules are tried from the lowest number up, so a test request is never weighed.
FIRST_TEST_PRIORITY = 10
TRAFFIC_PRIORITY = 100
