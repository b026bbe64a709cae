"""The private home of function transforms in PyTorch, where libraries look for them."""
