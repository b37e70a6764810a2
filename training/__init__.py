"""How a model is made. The only layer that imports torch and transformers."""
