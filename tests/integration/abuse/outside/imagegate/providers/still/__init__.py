"""A provider of nobody: one picture of 1.5 MB, always the same, so that only what is around it costs."""
