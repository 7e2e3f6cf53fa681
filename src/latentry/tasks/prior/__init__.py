"""`latentry prior`: design, show and compare distributions of codes."""
