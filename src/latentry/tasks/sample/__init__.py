"""`latentry sample`: draw codes from a prior and decode them."""
