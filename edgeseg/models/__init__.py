"""The networks: plain modules that know nothing of data, training or deployment."""
