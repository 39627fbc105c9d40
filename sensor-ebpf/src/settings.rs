//! What user space tells the kernel programs at load.
