"""The statements of the driver."""
