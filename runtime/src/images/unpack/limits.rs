//! What a layer may not exceed. A layer comes from outside: these bounds keep a hostile one from eating memory, inodes or
//! time, and lie far above what real images need.

/// Entries of one layer. The largest published images have a few hundred thousand.
pub(super) const ENTRIES: u64 = 2_000_000;

/// Decompressed bytes of one layer, against decompression bombs; machine-learning images reach some 20 GiB. What the disk
/// can't hold fails earlier by itself.
pub(super) const LAYER_BYTES: u64 = 128 << 30;

/// Bytes of an entry's path: `PATH_MAX`; a longer one could never be named in one system call.
pub(super) const PATH_BYTES: usize = 4096;

/// Bytes of one component: `NAME_MAX` of all file systems here.
pub(super) const NAME_BYTES: usize = 255;

/// Bytes of the extended headers of one entry (PAX records, GNU long names), which are held in memory. Holds the extended
/// attributes, each at most 64 KiB.
pub(super) const EXTENDED_HEADER_BYTES: u64 = 1 << 20;

/// Data runs of one sparse file, held in memory.
pub(super) const SPARSE_RUNS: usize = 1 << 16;

/// Symbolic links followed while finding a parent directory: the kernel's own limit.
pub(super) const SYMBOLIC_LINKS: usize = 40;

/// Bytes of the names of directories and of links to lower layers, which are remembered until the end of the layer. Two
/// million directories have fewer.
pub(super) const HELD_BYTES: usize = 256 << 20;
