"""Between a program and a driver: finding one, and observing its operations."""
