"""`latentry evaluate`: how good a generator's samples are, at its prior and between its codes."""
