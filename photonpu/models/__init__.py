"""Networks, data sets, metrics and training: what runs on the machine and how it is scored."""
