//! The simulated card: what a program can ask about it.

/// The name of the simulated card.
pub(crate) const NAME: &str = "PTX interpreter (striate-ptx)";
/// Its identifier.
pub(crate) const UUID: [u8; 16] = *b"striate-ptx\0sim\0";
/// The version of the driver interface, as the driver counts it: 12.0.
pub(crate) const DRIVER_VERSION: i32 = 12000;
/// The bytes that all allocations of a context may take together.
pub(crate) const MEMORY: usize = 4 << 30;
/// Dynamic and static shared memory of a kernel that has not asked for more.
pub(crate) const SHARED: usize = 48 << 10;
const THREADS: i32 = 1024;
const THREADS_PER_MULTIPROCESSOR: i32 = 2048;
const BLOCKS_PER_MULTIPROCESSOR: i32 = 32;
/// Few, so that kernels whose grids grow with them stay quick.
const MULTIPROCESSORS: i32 = 4;
const REGISTERS: i32 = 1 << 16;

/// The compute capability, from `STRIATE_PTX_CAPABILITY` or else 8.0.
pub(crate) fn capability() -> (i32, i32) {
    let text = std::env::var("STRIATE_PTX_CAPABILITY").unwrap_or_default();
    let parts = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parts.unwrap_or((8, 0))
}

/// The shared memory that a block may ask for, which cards differ in.
pub(crate) fn most_shared() -> usize {
    let kib = match capability() {
        (7, 0) => 96,
        (7, _) => 64,
        (8, 0 | 7) => 163,
        (8, _) | (12, _) => 99,
        _ => return crate::exec::MOST_SHARED,
    };
    kib << 10
}

/// An attribute by the driver's number; none for those that mean nothing here, such as clocks.
pub(crate) fn attribute(number: i32) -> Option<i32> {
    let (major, minor) = capability();
    Some(match number {
        1..=3 => THREADS,
        4 => 64,
        5 => i32::MAX,
        6 | 7 => 65535,
        8 => SHARED as i32,
        9 => 64 << 10,
        10 => 32,
        12 | 82 => REGISTERS,
        16 => MULTIPROCESSORS,
        39 => THREADS_PER_MULTIPROCESSOR,
        41 => 1,
        75 => major,
        76 => minor,
        81 => most_shared() as i32 + 1024,
        // Integrated, managed memory, cooperative launches.
        18 | 83 | 95 => 0,
        97 => most_shared() as i32,
        106 => BLOCKS_PER_MULTIPROCESSOR,
        111 => 1024,
        115 => i32::from(std::env::var("STRIATE_PTX_MEMORY_POOLS").as_deref() != Ok("0")),
        _ => return None,
    })
}

/// The blocks of a kernel that a multiprocessor holds at once, as far as threads and shared memory
/// decide it; registers are not known before a kernel is assembled.
pub(crate) fn occupancy(threads: i32, shared: usize) -> i32 {
    if !(1..=THREADS).contains(&threads) || shared > most_shared() {
        return 0;
    }
    let by_threads =
        THREADS_PER_MULTIPROCESSOR / (threads.unsigned_abs().next_multiple_of(32) as i32);
    let by_shared = (most_shared() + 1024) / (shared + 1024);
    by_threads.min(by_shared as i32).min(BLOCKS_PER_MULTIPROCESSOR)
}
