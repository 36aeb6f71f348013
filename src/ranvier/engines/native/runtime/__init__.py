"""What programs need to run: threads, memory, the cache of compiled objects, LLVM."""
