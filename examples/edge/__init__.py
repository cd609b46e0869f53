"""The smallest footprint of engine-store, measured: time, memory, disk, installation."""
