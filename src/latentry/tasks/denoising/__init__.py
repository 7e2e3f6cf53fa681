"""Denoisers compared: filters of images, recovery of codes, and filters of codes in a basis."""
