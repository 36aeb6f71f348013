"""The same bits on another processor: AArch64 code, run by QEMU. `make test-processors` fetches what it needs."""
