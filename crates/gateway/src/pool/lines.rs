//! Waiting in one line per key, the lines served in turn: who brings much waits behind his own, not in front of others.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Lines of what waits.
#[derive(Debug)]
pub(super) struct Lines<K, T> {
    lines: HashMap<K, VecDeque<(Ticket, T)>>,
    /// The keys with a line, the next one to be served first.
    round: VecDeque<K>,
    waiting: usize,
    next: u64,
}

/// Names a place in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

impl<K: Clone + Eq + Hash, T> Lines<K, T> {
    pub(super) fn new() -> Self {
        Self { lines: HashMap::new(), round: VecDeque::new(), waiting: 0, next: 0 }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// How many wait in the line of `key`.
    pub(super) fn len_of(&self, key: &K) -> usize {
        self.lines.get(key).map_or(0, VecDeque::len)
    }

    /// How many are served before one that joins now for `key`: its own line, and as many rounds of the others.
    pub(super) fn ahead_of(&self, key: &K) -> usize {
        let own = self.len_of(key);
        let others = self.lines.iter().filter(|(other, _)| *other != key);
        own + others.map(|(_, line)| line.len().min(own + 1)).sum::<usize>()
    }

    /// The last place of the line of `key`.
    pub(super) fn join(&mut self, key: &K, entry: T) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting += 1;
        let line = self.lines.entry(key.clone()).or_default();
        if line.is_empty() {
            self.round.push_back(key.clone());
        }
        line.push_back((ticket, entry));
        ticket
    }

    /// The next to be served among those whose key `may` be.
    pub(super) fn next(&mut self, may: impl Fn(&K) -> bool) -> Option<(K, T)> {
        let at = self.round.iter().position(may)?;
        let key = self.round.remove(at)?;
        let line = self.lines.get_mut(&key)?;
        let (_, entry) = line.pop_front()?;
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(&key);
        } else {
            self.round.push_back(key.clone());
        }
        Some((key, entry))
    }

    /// Leaves a place, if it is still there.
    pub(super) fn leave(&mut self, key: &K, ticket: Ticket) -> Option<T> {
        let line = self.lines.get_mut(key)?;
        let at = line.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
        let (_, entry) = line.remove(at)?;
        self.left(key);
        Some(entry)
    }

    /// Takes the last place from the longest line, if that line is longer than `length`.
    pub(super) fn shorten(&mut self, length: usize) -> Option<T> {
        let key = self.lines.iter().max_by_key(|(_, line)| line.len()).map(|(key, _)| key.clone())?;
        let line = self.lines.get_mut(&key).filter(|line| line.len() > length)?;
        let (_, entry) = line.pop_back()?;
        self.left(&key);
        Some(entry)
    }

    /// The length of the longest line.
    pub(super) fn longest(&self) -> usize {
        self.lines.values().map(VecDeque::len).max().unwrap_or(0)
    }

    fn left(&mut self, key: &K) {
        self.waiting -= 1;
        if self.len_of(key) == 0 {
            self.lines.remove(key);
            self.round.retain(|other| other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Lines<char, usize> {
        let mut lines = Lines::new();
        for (number, key) in text.chars().enumerate() {
            lines.join(&key, number);
        }
        lines
    }

    fn served(lines: &mut Lines<char, usize>) -> String {
        std::iter::from_fn(|| lines.next(|_| true)).map(|(key, _)| key).collect()
    }

    #[test]
    fn keys_are_served_in_turn_and_each_line_in_order() {
        let mut all = lines("aaaaaabbac");
        let mut order = Vec::new();
        while let Some((key, number)) = all.next(|_| true) {
            order.push(format!("{key}{number}"));
        }
        assert_eq!(order, ["a0", "b6", "c9", "a1", "b7", "a2", "a3", "a4", "a5", "a8"]);
        assert_eq!((all.len(), all.longest()), (0, 0));
    }

    #[test]
    fn who_comes_late_is_not_behind_the_whole_line_of_another() {
        let mut all = lines(&"a".repeat(1000));
        assert_eq!((all.ahead_of(&'a'), all.ahead_of(&'b')), (1000, 1));
        all.join(&'b', 0);
        assert!(served(&mut all).starts_with("aba"));
    }

    #[test]
    fn what_is_ahead_is_what_is_served_before() {
        for text in ["aaabbc", "abc", "ccccccab", "bbb", ""] {
            for key in ['a', 'b', 'c', 'd'] {
                let mut all = lines(text);
                let ahead = all.ahead_of(&key);
                all.join(&key, usize::MAX);
                let mut before = 0;
                while all.next(|_| true).is_some_and(|(_, number)| number != usize::MAX) {
                    before += 1;
                }
                // The place of a line in the round decides whether the others are one further.
                assert!(before <= ahead && ahead <= before + 3, "{text} {key}: {before} {ahead}");
            }
        }
    }

    #[test]
    fn places_can_be_left_and_taken() {
        let mut all = lines("ab");
        let middle = all.join(&'a', 7);
        all.join(&'a', 8);
        assert_eq!(all.leave(&'a', middle), Some(7));
        assert_eq!(all.leave(&'a', middle), None);
        assert_eq!(all.shorten(2), None, "nobody has more than two");
        assert_eq!(all.shorten(1), Some(8));
        assert_eq!(served(&mut all), "ab");
        assert_eq!(all.leave(&'z', middle), None);
        let mut all = lines("a");
        assert_eq!(all.shorten(0), Some(0));
        assert_eq!((all.len(), served(&mut all)), (0, String::new()));
    }

    #[test]
    fn who_may_not_is_passed_over_and_keeps_its_place() {
        let mut all = lines("aab");
        assert_eq!(all.next(|key| *key != 'a'), Some(('b', 2)));
        assert_eq!(all.next(|key| *key != 'a'), None);
        assert_eq!(all.next(|_| true), Some(('a', 0)));
        assert_eq!(all.len(), 1);
    }
}
