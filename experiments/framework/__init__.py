"""What every experiment shares: cells that resume, workers, statistics over seeds, tables and pages."""
