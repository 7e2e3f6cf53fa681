"""Floor 5: pictures, figures, tables and pages of results."""
