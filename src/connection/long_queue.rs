//! A queue that may become long, and is never moved as a whole: what puts something in while another
//! thread waits for the lock takes a short time, always.

use std::collections::VecDeque;

/// How many items are moved at once, at most.
const CHUNK: usize = 1024;

/// First in, first out. A short queue is one allocation.
pub struct LongQueue<T> {
    first: VecDeque<T>,
    /// What comes behind it: all but the last one have [`CHUNK`] items.
    more: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for LongQueue<T> {
    fn default() -> Self {
        LongQueue { first: VecDeque::new(), more: VecDeque::new(), len: 0 }
    }
}

impl<T> LongQueue<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn push_back(&mut self, item: T) {
        self.len += 1;
        if self.more.is_empty() && self.first.len() < CHUNK {
            return self.first.push_back(item);
        }
        match self.more.back_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push_back(item),
            None => {
                let mut chunk = VecDeque::with_capacity(CHUNK);
                chunk.push_back(item);
                self.more.push_back(chunk);
            }
        }
    }

    pub fn pop_front(&mut self) -> Option<T> {
        let item = self.first.pop_front()?;
        self.len -= 1;
        if self.first.is_empty()
            && let Some(next) = self.more.pop_front()
        {
            self.first = next;
        }
        Some(item)
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let Some(behind) = index.checked_sub(self.first.len()) else {
            return self.first.get_mut(index);
        };
        self.more.get_mut(behind / CHUNK)?.get_mut(behind % CHUNK)
    }
}

impl<T> IntoIterator for LongQueue<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<
        std::collections::vec_deque::IntoIter<T>,
        std::iter::Flatten<std::collections::vec_deque::IntoIter<VecDeque<T>>>,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_queue() {
        let mut queue = LongQueue::default();
        let mut model = VecDeque::new();
        let mut seed = 1_u64;
        for n in 0..60_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Grows to some thousands, and shrinks by a third of that.
            let grow = if n < 45_000 { 5 } else { 3 };
            if (seed >> 33) % 8 < grow {
                queue.push_back(n);
                model.push_back(n);
            } else {
                assert_eq!(queue.pop_front(), model.pop_front());
            }
            assert_eq!(queue.len(), model.len());
            assert_eq!(queue.is_empty(), model.is_empty());
            let index = (seed >> 20) as usize % (model.len() + 1);
            assert_eq!(queue.get_mut(index), model.get_mut(index));
        }
        assert!(model.len() > 2 * CHUNK);
        assert!(queue.into_iter().eq(model));
    }
}
