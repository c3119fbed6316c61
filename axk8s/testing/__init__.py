"""Contract suites: pytest classes to inherit, for runners of your own. They need pytest; axk8s alone does not."""
