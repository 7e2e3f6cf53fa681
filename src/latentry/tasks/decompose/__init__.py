"""`latentry decompose`: directions that have labels, and coefficients of codes."""
