//! Random numbers from the operating system.

/// Returns random bytes.
///
/// # Panics
/// Never on Linux: the kernel's generator does not fail once the machine has booted.
fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel's random generator works after boot");
    bytes
}

/// Returns a random number.
pub(crate) fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

/// Returns a fresh request id.
pub(crate) fn request_id() -> String {
    hex::encode(bytes::<16>())
}
