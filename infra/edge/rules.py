"""What the rules of the listener have in common: headers and priorities."""

# CloudFront adds it to every request that it forwards; the listener rejects requests without it.
ORIGIN_HEADER = "X-Origin-Verify"
# The foundation's outputs with the values that the traffic rule lets in: the one that CloudFront sends and, while it is
# rotated, the one that it will send next and the one that it sent before.
ORIGIN_SECRETS = ("originSecret", "originSecretNext", "originSecretPrevious")
# The test route: the secret authorises it, the other header selects the colour.
TEST_HEADER = "X-Simple378-Test"
COLOUR_HEADER = "X-Simple378-Colour"

# Rules are tried from the lowest number up, so the weights do not apply to a test request.
FIRST_TEST_PRIORITY = 10
TRAFFIC_PRIORITY = 100
