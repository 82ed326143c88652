"""Pictures that harm or deceive whoever takes them, and such as only look as if they did."""
