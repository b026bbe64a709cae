"""What programs ask of PyTorch's elastic launcher."""
