//! Bytes cut from a common block.
//!
//! What one thread allocates and another frees, message after message, makes both wait for the
//! allocator's lock. A block is one allocation for many messages, and the last of them frees it.

use bytes::{Bytes, BytesMut};

const BLOCK: usize = 64 * 1024;
/// What is larger gets an allocation of its own.
const LARGE: usize = 4 * 1024;

/// Gives out copies. Each keeps the whole block, so they must not live long.
#[derive(Default)]
pub struct Block(BytesMut);

impl Block {
    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        if bytes.len() > LARGE {
            return Bytes::copy_from_slice(bytes);
        }
        if self.0.capacity() < bytes.len() {
            self.0 = BytesMut::with_capacity(BLOCK);
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_right_at_every_edge_of_a_block() {
        let mut block = Block::default();
        let mut copies = Vec::new();
        for length in (0..300).chain([4095, 4096, 4097, 70_000]).cycle().take(3000) {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            copies.push((block.copy(&bytes), bytes));
        }
        assert!(copies.iter().all(|(copy, bytes)| copy == bytes));
    }
}
