"""`latentry decompose`: directions that bear labels, and codes as sums of them."""
