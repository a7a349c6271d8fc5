//! Which words of rules stand on a line, and where.

/// Between the words of a pair lie at most so many bytes.
const NEAR: usize = 32;

/// Or one name of at most so many: a path, an address.
const NAME: usize = 200;

/// So many words of a line are known, most often.
const USUAL: usize = 16;

/// Where a word stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) word: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// A folder or a service is called so, which says nothing of what is done.
    pub(super) in_path: bool,
}

impl Place {
    fn is_near(&self, other: &Place, text: &str) -> bool {
        let between = |first: &Place, second: &Place| text.get(first.end..second.start);
        let between = between(self, other).or_else(|| between(other, self));
        between.is_some_and(|between| {
            let is_one_name = between.len() <= NAME && between.trim().split(' ').count() == 1;
            between.len() <= NEAR || is_one_name
        })
    }
}

/// The words of a line that rules know: a handful, so they are looked through one by one, once it is
/// known that a word is among them. Most words that rules ask for are not.
pub(super) struct Places {
    pub(super) all: Vec<Place>,
    /// Most that rules ask for are not.
    pub(super) there: Marked,
    /// Lists of which one is there.
    pub(super) lists: [u64; LISTED],
}

impl Places {
    pub(super) fn add(&mut self, place: Place) {
        if self.all.is_empty() {
            self.all.reserve(USUAL);
        }
        self.there.mark(place.word);
        self.all.push(place);
    }

    pub(super) fn first(&self, word: usize) -> Option<&Place> {
        self.all.iter().find(|place| place.word == word)
    }

    pub(super) fn has_all(&self, phrase: &[usize]) -> bool {
        phrase.iter().all(|word| self.has(*word))
    }

    pub(super) fn has(&self, word: usize) -> bool {
        self.there.has(word)
    }

    pub(super) fn has_any(&self, list: usize) -> bool {
        self.lists[list / 64] >> (list % 64) & 1 == 1
    }

    pub(super) fn count(&self, word: usize) -> usize {
        match self.has(word) {
            true => self.all.iter().filter(|place| place.word == word).count(),
            false => 0,
        }
    }

    pub(super) fn spoken<'a>(&'a self, words: &'a Marked) -> impl Iterator<Item = &'a Place> {
        let all = self.all.iter();
        all.filter(|place| words.has(place.word) && !place.in_path)
    }

    pub(super) fn pair(&self, [one, other]: &[Marked; 2], text: &str) -> Option<Span> {
        self.spoken(one).find_map(|first| {
            let second = self
                .spoken(other)
                .find(|second| first.is_near(second, text))?;
            Some((first.start.min(second.start), first.end.max(second.end)))
        })
    }
}

/// Some of all words, one bit for each.
pub(super) struct Marked([u64; MARKED]);

/// There is room for so many words, sixty-four times.
pub(super) const MARKED: usize = 128;

/// And for so many lists.
pub(super) const LISTED: usize = 16;

impl Marked {
    pub(super) fn none() -> Self {
        Marked([0; MARKED])
    }

    pub(super) fn of(words: &[usize]) -> Self {
        let mut marked = Marked::none();
        words.iter().for_each(|word| marked.mark(*word));
        marked
    }

    pub(super) fn mark(&mut self, word: usize) {
        self.0[word / 64] |= 1 << (word % 64);
    }

    pub(super) fn has(&self, word: usize) -> bool {
        self.0[word / 64] >> (word % 64) & 1 == 1
    }
}

/// Where something begins and ends.
pub(super) type Span = (usize, usize);
