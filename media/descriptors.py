"""How many descriptors are left: what is refused while there are some can still be told why."""

import resource


def scarce(descriptor: int, kept: int) -> bool:
    """Whether fewer than `kept` descriptors are free: the kernel gives the lowest free one, so a high one tells."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most != resource.RLIM_INFINITY and descriptor >= most - kept
