//! Checksums to compare bytes.

/// The CRC-32 of zlib, as PHP's `hash('crc32b', …)` writes it.
#[must_use]
pub fn crc32(bytes: &[u8]) -> String {
    let step = |crc: u32| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
    let table: Vec<u32> = (0..256).map(|byte| (0..8).fold(byte, |crc, _| step(crc))).collect();
    let crc = bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ table[((crc ^ u32::from(*byte)) & 255) as usize]);
    format!("{:08x}", !crc)
}
