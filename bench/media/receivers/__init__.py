"""The receivers that are compared, one process and one file each; a peer's runs in the peer's own environment."""
