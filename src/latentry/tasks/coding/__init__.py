"""Codes of images and a basis for their coefficients: what `edit` and `decompose` share."""
