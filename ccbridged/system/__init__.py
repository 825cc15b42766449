"""What we touch: file descriptors, FIFOs, the disk, the container engine, the service manager. Thin, no decisions."""
