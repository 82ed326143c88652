"""What callers do who mean harm, or do not know better: to our processes, over HTTP/2 of our own making."""
