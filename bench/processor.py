"""What the processor at hand can do, where it decides which sides of a comparison run."""

import pathlib


def has_bf16():
    """Whether it multiplies bf16 by itself; where it does not, one step of a large dictionary takes minutes."""
    words = pathlib.Path("/proc/cpuinfo").read_text().split()
    return any(flag in words for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def tell_what_is_left_out():
    """A line beside a table, if it lacks sides for that reason."""
    if not has_bf16():
        print("bf16 autocast is left out: this processor has no instructions for bf16.\n")
