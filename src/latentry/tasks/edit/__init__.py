"""`latentry edit`: change images by their codes."""
