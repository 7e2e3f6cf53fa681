"""`latentry convert`: weights of other formats as safetensors."""
