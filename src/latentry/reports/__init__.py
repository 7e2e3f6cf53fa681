"""Floor 5: results as people look at them: pictures, figures, tables and a page."""
