"""The networks in torch, for training and for CUDA; `inference` runs the same ones with NumPy."""
