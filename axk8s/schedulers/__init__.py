"""TorchX schedulers that TorchX itself does not have; `factories` lists them all. Nothing is imported from here."""
