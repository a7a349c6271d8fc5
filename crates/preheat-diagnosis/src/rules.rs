//! The rules, as data: what a line says, and what that means.
//!
//! A rule holds if one of its phrases is on the line, or one of its pairs, none of its exceptions is,
//! and what it asks for beside them is. ` + ` joins words that must all be there. A pair is a word of one list near a word of another,
//! for what every program says in words of its own: whatever is loaded, and however that is called.
//! Phrases are normalised text ([`super::line::text::normal`]) and begin where a word begins; they may end
//! inside one, so `compil` is compiles, compiled and compilation.

/// A long list of words, as one text.
macro_rules! list {
    ($text:literal) => {{
        const WORDS: [&str; $crate::rules::listing($text)] = $crate::rules::listed($text);
        &WORDS
    }};
}

/// Several lists as one.
macro_rules! both {
    ($($list:expr),+ $(,)?) => {{
        const LISTS: &[&[&str]] = &[$($list),+];
        const WORDS: [&str; $crate::rules::lengths(LISTS)] = $crate::rules::joined(LISTS);
        &WORDS
    }};
}

mod downloads;
mod failures;
mod figures;
mod frameworks;
mod kubernetes;
mod loads;
mod looks;
mod marks;
mod parts;
mod plain;
mod platforms;
mod requests;
mod runs;
pub(crate) mod subjects;
mod warmups;
mod words;
pub(crate) use words::endings;

use super::cause::Cause;

/// What a line that a rule holds for means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The cause itself is named.
    Names(Cause),
    /// A part of a start: which cause it is depends on when it runs.
    Does(Part),
    /// Where in the life of the process this is.
    Marks(Mark),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Weights,
    Tokenizer,
    Context,
    Kernels,
    Download,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A process begins.
    Started,
    /// A manager starts a worker.
    Booted,
    /// A parent announces workers: what it says of readiness is not theirs.
    Parent,
    /// The start of a process is over.
    Complete,
    /// A port is open: the start may be over, or go on behind it.
    Listening,
    /// Readiness is claimed in so many words.
    Ready,
    /// Nobody listens where somebody asks.
    Refused,
    /// Nobody will listen before something is loaded.
    OpensLate,
    /// A startup probe was answered, and not well, or not in time.
    Unstarted,
    /// A container that keeps ending is kept from starting again for a while.
    HeldBack,
    /// A container ended by itself.
    Crashed,
    /// A process ended, and not because somebody wanted it to.
    Died,
    /// A request was cut off because its worker was killed.
    Interrupted,
    /// What would be downloaded is there already.
    Cached,
    /// A process ends.
    Ended,
    /// A process or a container ends, and begins once more.
    Restarted,
    /// A model takes the place of one that serves.
    Replaced,
    /// A request is being served.
    Request,
    /// What is said here happens while a request waits.
    AtRequest,
    /// What is said here happens at start or in warm-up.
    AtStart,
    /// Something is loaded, made or built, rather than merely mentioned.
    Action,
    /// The replica was moved to another machine.
    Moved,
    /// How fast something was read.
    Rate,
    /// Somebody looks at a disk, or at what is kept of it in memory.
    Disk,
    /// A length of an input.
    Length,
    Warm,
    /// The same by other names.
    Exercised,
    Percentile,
    Latency,
    /// A line of an access log.
    Access,
    /// Threads, or processors that somebody limits.
    Processors,
    /// Something is asked for, and takes its time.
    Call,
    /// A hook of the start's own asks the server before anybody else does.
    Primes,
    /// What serves was replaced, or begins to serve.
    Fresh,
    /// A request waits until there is a replica at all.
    Held,
    /// Words of a request beside those of replicas: worth a closer look.
    MayWait,
    /// A request is answered that what it asks for is not there yet.
    TurnedAway,
    /// A request is told of, in whatever form.
    Exchange,
    /// Words of a request's name, or of its answer: worth a closer look.
    Asked,
    /// Words of whoever waits at a port: worth a closer look.
    Opens,
    /// Words of people who tell what came before what.
    Meanwhile,
    /// Words of those who send requests to replicas.
    Sends,
    /// Words of what a warm-up may be called in settings.
    Setting,
    /// Something that is not there is gone for, whatever it is.
    Obtains,
    /// Something was not there so far.
    Absent,
    /// Something is loaded, whatever it is.
    Brings,
    /// An image begins to be pulled.
    Pulling,
    /// Something was pulled: an image, if one was being pulled.
    Pulled,
    /// A server tries itself out before it opens.
    Checks,
    /// The same, or something else.
    MayCheck,
    /// An answer is not what it should be.
    Deviates,
    /// The door stays shut.
    Withheld,
    /// A program that stands beside, and serves no model.
    Another,
    /// Something is loaded, and somebody may wait for it.
    Loads,
    /// Several processes of one kind.
    Several,
    /// A scale-up begins that is to bring a node.
    ScaledUp,
    /// A replica got a place.
    Placed,
    /// A liveness probe was not answered well.
    Unalive,
    /// Whoever watches finds it unwell.
    Unwell,
    /// Somebody ends it, or puts another in its place.
    Downed,
    /// A container is ended from outside.
    Stopped,
    /// Somebody had served for days.
    LongLived,
    /// For how long somebody has been up: worth a closer look.
    Uptime,
    /// Sizes of memory are told, and that somebody needs some: worth a closer look.
    Needs,
    /// A device is asked for.
    AskedDevice,
    /// The processor is to compute.
    SparesDevice,
    /// A server counts what it serves at the moment.
    Traffic,
    /// A share of something: worth a closer look.
    Percent,
    /// Somebody is refused, at a port if at all: worth a closer look.
    MayRefuse,
    /// Something is wrong with what is to be served.
    Faulty,
    /// Whoever was to serve goes.
    Leaves,
    /// Somebody hears nothing, and ends whom it waits for: worth a closer look.
    Impatient,
    /// The same, so far as figures tell how long it waited.
    Silenced,
    /// Somebody is asked for a sign of life.
    AsksLife,
    /// A server that answers for its health once it is ready.
    HealthIsReady,
    /// A duration in words.
    Spelled,
    /// Nothing was made for a shape: a gap where others were warmed.
    Unmet,
}

/// A word of the one list near a word of the other, in any order.
#[derive(Debug)]
pub struct Pair(pub &'static [&'static str], pub &'static [&'static str]);

/// What else must be on the line, anywhere.
#[derive(Debug)]
pub enum Beside {
    Anything,
    /// Words of somebody who reports an error.
    Error,
    /// One of these.
    Words(&'static [&'static str]),
    /// One of each of these lists: several things that a sentence must speak of, in any order and words.
    All(&'static [&'static [&'static str]]),
}

#[derive(Debug)]
pub struct Rule {
    pub means: Meaning,
    pub confidence: f64,
    pub says: &'static [&'static str],
    pub pairs: &'static [Pair],
    pub except: &'static [&'static str],
    pub beside: Beside,
    /// A line as a real program writes it.
    pub example: &'static str,
    /// A line that looks like it and means something else.
    pub counter: &'static str,
}

/// Confidence in a cause of which only a consequence was seen.
pub(super) const CONSEQUENCE: f64 = 0.6;

/// Between words that must all be on a line.
pub(super) const AND: &str = " + ";

/// What several lists share and what one has of its own, as one list of so many words.
const fn joined<const N: usize>(lists: &[&[&'static str]]) -> [&'static str; N] {
    let mut all = [""; N];
    let (mut list, mut at) = (0, 0);
    while list < lists.len() {
        let mut word = 0;
        while word < lists[list].len() {
            all[at] = lists[list][word];
            (word, at) = (word + 1, at + 1);
        }
        list += 1;
    }
    assert!(at == N, "there are fewer words");
    all
}

/// How many words a text lists.
const fn listing(text: &str) -> usize {
    let (mut count, mut at) = (1, 0);
    while at < text.len() {
        count += (text.as_bytes()[at] == b'|') as usize;
        at += 1;
    }
    count
}

/// Its words, which bars part.
const fn listed<const N: usize>(text: &'static str) -> [&'static str; N] {
    let mut all = [""; N];
    let (mut rest, mut at, mut word) = (text, 0, 0);
    while at < rest.len() {
        if rest.as_bytes()[at] == b'|' {
            let (before, behind) = rest.split_at(at);
            all[word] = before;
            (rest, at, word) = (behind.split_at(1).1, 0, word + 1);
        } else {
            at += 1;
        }
    }
    all[word] = rest;
    assert!(!rest.is_empty(), "a bar stands at the end");
    all
}

/// How many words several lists have.
const fn lengths(lists: &[&[&'static str]]) -> usize {
    let (mut count, mut list) = (0, 0);
    while list < lists.len() {
        (count, list) = (count + lists[list].len(), list + 1);
    }
    count
}

/// Every rule.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [
        marks::RULES,
        looks::RULES,
        requests::RULES,
        runs::RULES,
        figures::RULES,
        parts::RULES,
        loads::RULES,
        downloads::RULES,
        failures::RULES,
        warmups::RULES,
        frameworks::RULES,
        kubernetes::RULES,
        platforms::RULES,
        plain::first::RULES,
        plain::images::RULES,
        plain::loads::RULES,
        plain::requests::RULES,
        plain::broken::RULES,
        plain::checks::RULES,
        plain::endings::RULES,
        plain::signs::RULES,
        plain::devices::RULES,
        plain::placing::RULES,
        plain::readiness::RULES,
        plain::processes::RULES,
        plain::resources::RULES,
        plain::warmups::RULES,
        plain::unfit::RULES,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::phrases::Phrases;
    use crate::line::text::normal;

    #[test]
    fn every_rule_holds_for_its_example_and_not_for_its_counter_example() {
        let phrases = Phrases::shared();
        for (index, rule) in all().enumerate() {
            let holds = |text| {
                phrases
                    .holding(&normal(text))
                    .iter()
                    .any(|hit| hit.rule == index)
            };
            assert!(holds(rule.example), "{:?}: {}", rule.means, rule.example);
            assert!(!holds(rule.counter), "{:?}: {}", rule.means, rule.counter);
            assert!(rule.confidence > 0.0 && rule.confidence <= 1.0);
        }
    }

    #[test]
    fn phrases_are_normalised() {
        for rule in all() {
            let paired = rule
                .pairs
                .iter()
                .flat_map(|pair| pair.0.iter().chain(pair.1));
            let beside: &[&[&str]] = match rule.beside {
                Beside::Words(words) => &[words],
                Beside::All(lists) => lists,
                Beside::Anything | Beside::Error => &[],
            };
            let all = rule.says.iter().chain(paired).chain(rule.except);
            for phrase in all.chain(beside.iter().copied().flatten()) {
                for word in phrase.split(AND) {
                    assert_eq!(normal(word), word, "{phrase}");
                }
            }
        }
    }

    /// Causes that need more than one line are found elsewhere, by name.
    #[test]
    fn every_cause_can_be_found() {
        use Cause::*;
        let elsewhere = [
            LazyModel,
            LazyTokenizer,
            CudaContext,
            Kernels,
            DownloadAtStart, // from parts
            DoubleLoadWorkers,
            WeightsAtStart,
            TokenizerAtStart,
            ReadyTooEarly,
            WarmedByTraffic,
        ];
        for cause in Cause::ALL {
            let named = all().any(|rule| rule.means == Meaning::Names(*cause));
            assert!(named || elsewhere.contains(cause), "{cause:?}");
        }
    }
}
