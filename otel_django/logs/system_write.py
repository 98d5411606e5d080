"""``os.write`` as the system has it.

eventlet's lets other greenlets go first wherever the descriptor isn't a regular file, and refuses
two that write to the same one.
"""

try:
    from posix import write
except ImportError:  # Windows
    from os import write

__all__ = ["write"]
