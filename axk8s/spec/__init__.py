"""What a person writes: `sweep.yaml`, or the same mapping from Python, as a frozen and closed `SweepSpec`."""
