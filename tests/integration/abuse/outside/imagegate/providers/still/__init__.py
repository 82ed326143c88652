"""A provider of nobody: one picture of 1.5 MB, always the same and at once, so that only what is around it costs."""
