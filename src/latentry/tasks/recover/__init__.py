"""`latentry recover`: find the codes of images."""
