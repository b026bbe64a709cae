"""What PyTorch's compiler keeps here; this build has none."""
