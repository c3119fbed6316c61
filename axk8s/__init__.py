"""axk8s: sweeps of training jobs. Public names are resolved lazily so that importing it costs nothing."""
