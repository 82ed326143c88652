"""What an upstream, the network or we ourselves may do wrong, and what becomes of it."""
