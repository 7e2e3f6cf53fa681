"""Codes of given images, and a basis to take them apart in: what `edit` and `decompose` share."""
