"""Experiments that reproduce a paper and go past it: each a folder of cells that resume, then tables, figures and a page."""
