"""Where an attempt's values come from: the metrics file that `report()` writes, and marked lines in the output."""
