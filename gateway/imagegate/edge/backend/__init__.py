"""The routes of web backends, /api/ai/…, field by field as their guide has them."""
