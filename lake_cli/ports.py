"""Is a port of this machine free, and if not, whose is it?"""

import socket

import psutil

from lake_cli.console import fail

HOST = "127.0.0.1"


def require_free_port(port: int, purpose: str, advice: str, host: str = HOST) -> None:
    """Exit with a message that names the port's holder unless `port` can be listened on.

    Parameters:
        purpose: what the port is needed for.
        advice: what to do besides ending the holder.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            fail(f"port {port}, wanted for {purpose}, cannot be had: {_holder(port) or error.strerror}. {advice}", 1)


def _holder(port: int) -> str | None:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                process = psutil.Process(connection.pid)
                return f"process {process.pid} ({' '.join(process.cmdline())[:80]}) listens there"
    except psutil.Error:  # macOS tells only root
        pass
    return None
