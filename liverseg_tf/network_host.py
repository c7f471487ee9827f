"""Names and addresses of machines on a network."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, so that no data leaves it.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_in_url(host: str) -> str:
    """Return a host as it is written before a port: IPv6 addresses in brackets.

    Example:
        >>> host_in_url("::1"), host_in_url("localhost")
        ('[::1]', 'localhost')
    """
    return f"[{host}]" if ":" in host else host
