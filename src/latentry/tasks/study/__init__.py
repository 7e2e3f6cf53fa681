"""`latentry study`: recover digits four ways and compare the codes with their prior."""
