"""The rules, pure: no clock, no I/O, no personal data in clear."""
