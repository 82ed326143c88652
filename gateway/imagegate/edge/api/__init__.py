"""The edge's own family of routes, which its page uses: generations told while they happen, the gallery, the status."""
