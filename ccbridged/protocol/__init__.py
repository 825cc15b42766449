"""What travels: errors, frames, the reliable link, all that is said over it. Pure: no fd, no clock, no I/O."""
