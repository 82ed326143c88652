"""Random requests in every direction: what leaves is what was asked, or what is told of it."""
