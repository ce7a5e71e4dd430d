//! Where the next page of a list begins.
//!
//! What is listed comes and goes between two pages, and what goes moves the others towards the first
//! page. The server sorts by name, though: a page that begins at or before the end of the last one
//! lacks nothing that was there all the time. So each page overlaps the one before it, and when there is
//! a gap all the same, another one further to the front is asked for.

/// The pages of one list.
pub struct Paging {
    /// So much of a page comes again with the next one.
    overlap: u64,
    offset: u64,
    back: u64,
    /// The last name that has come; `None` if the next page need not join it.
    end: Option<String>,
}

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// It does not join the one before it, and does not count.
    Gap,
    More,
    Last,
}

impl Paging {
    pub fn new(overlap: u64) -> Paging {
        Paging { overlap, offset: 0, back: overlap, end: None }
    }

    /// Where the page that is to be asked for begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// A page with these names has come, each of them once, of so many that there are.
    pub fn came<'a>(&mut self, names: impl Iterator<Item = &'a str>, total: u64) -> Page {
        let (mut least, mut greatest, mut length) = (None, None, 0_u64);
        for name in names {
            length += 1;
            least = Some(least.map_or(name, |least: &str| least.min(name)));
            greatest = greatest.max(Some(name));
        }
        let gap = match (least, self.end.as_deref()) {
            (Some(least), Some(end)) => least > end,
            (None, Some(_)) => total > 0,
            (_, None) => false,
        };
        if gap && self.offset > 0 {
            self.offset = self.offset.saturating_sub(self.back.max(1));
            self.back = (self.back * 2).max(2);
            return Page::Gap;
        }
        if length == 0 || self.offset + length >= total {
            return Page::Last;
        }
        self.back = self.overlap.min(length / 2);
        self.offset += length - self.back;
        let end = greatest.max(self.end.as_deref()).map(str::to_owned);
        // A page of one has no room for another one's.
        self.end = end.filter(|_| self.back > 0);
        Page::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists what is there in pages of so many, while `meanwhile` changes it behind each page.
    fn listed(
        present: &mut Vec<&'static str>,
        limit: usize,
        mut meanwhile: impl FnMut(usize, &mut Vec<&'static str>),
    ) -> Vec<&'static str> {
        let (mut paging, mut all) = (Paging::new(2), Vec::new());
        for page in 0..100 {
            present.sort_unstable();
            let from = (paging.offset() as usize).min(present.len());
            let names = &present[from..present.len().min(from + limit)];
            let state = paging.came(names.iter().copied(), present.len() as u64);
            if state != Page::Gap {
                all.extend(
                    names.iter().filter(|name| !all.contains(*name)).copied().collect::<Vec<_>>(),
                );
            }
            if state == Page::Last {
                return all;
            }
            meanwhile(page, present);
        }
        panic!("no end");
    }

    const TEN: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

    #[test]
    fn all_pages() {
        for limit in 1..12 {
            assert_eq!(listed(&mut TEN.to_vec(), limit, |_, _| ()), TEN);
        }
        assert!(listed(&mut Vec::new(), 4, |_, _| ()).is_empty());
    }

    #[test]
    fn what_goes_moves_nothing_out_of_sight() {
        for gone in 1..4 {
            let all = listed(&mut TEN.to_vec(), 4, |page, present| {
                if page == 0 {
                    present.drain(..gone);
                }
            });
            assert_eq!(all, TEN, "{gone}");
        }
        let all = listed(&mut TEN.to_vec(), 4, |page, present| {
            if page == 1 {
                present.retain(|name| *name > "f");
            }
        });
        assert_eq!(all, TEN);
        let all = listed(&mut TEN.to_vec(), 4, |_, present| present.clear());
        assert_eq!(all, ["a", "b", "c", "d"]);
    }

    #[test]
    fn what_comes_hides_nothing() {
        let mut all = listed(&mut TEN.to_vec(), 4, |page, present| {
            if page == 0 {
                present.splice(..0, ["A", "B", "C"]);
            }
        });
        all.retain(|name| *name >= "a");
        assert_eq!(all, TEN);
    }
}
