//! Holds a compiled tokenizer against the `tokenizers` crate before it is used: the same ids for
//! every text of a corpus, or it is not used at all; and the same details, or only its ids are.

use tokenizers::Tokenizer as Library;

use super::compiled::Compiled;
use super::pair::Pair;
use super::{Special, library};
use crate::engine::SECOND;

/// Scripts, and whatever has broken tokenizers before.
const TEXTS: [&str; 40] = [
    "",
    " ",
    "a",
    "Hello, world!",
    "  two  spaces,\ta tab,\r\na line\n\n\nand the end  ",
    "I'm sure they'll've been 'there', we'd say; it's y'all's, don't 'S 'Ll",
    "unaffable uncharacteristically antidisestablishmentarianism",
    "Pneumonoultramicroscopicsilicovolcanoconiosis!!!???...---",
    "naïve café Ærøskøbing Straße ĲSSELMEER ﬁnal ½ Ⅷ ㎏ ™",
    "e\u{301}cole n\u{303} a\u{30a}\u{323} \u{301}start Z\u{334}\u{335}a\u{336}lgo",
    "İstanbul Iğdır ıI ſ K Å ẞ ΑΣ Σίσυφος",
    "Привет, как дела? ЁЖ ёлка Й",
    "Γειά σου Κόσμε ΆΈΉ",
    "中文分词测试。日本語のテキスト、カタカナ ｶﾀｶﾅ 𠀀𪜀 㐀 豈 〇",
    "한국어 문장입니다 가나다 각힣",
    "שָׁלוֹם עולם مرحبا بالعالم ١٢٣ ۴۵۶",
    "नमस्ते दुनिया क्षि বাংলা தமிழ் ไทยภาษา ລາວ မြန်မာ ខ្មែរ",
    "👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 ❤️ 1️⃣ ☃ ♥︎",
    "\u{0}\u{1}\u{7}\u{8}\u{b}\u{c}\u{1b}\u{1f}\u{7f}\u{80}\u{85}\u{9f}x",
    "a\u{a0}b\u{2003}c\u{2028}d\u{3000}e\u{200b}f\u{200d}g\u{feff}h\u{ad}i\u{1680}j",
    "\u{fffd}\u{fffe}\u{ffff}\u{e000}\u{10ffff}\u{1f9ff}\u{378}\u{e0001}",
    "fn main() { let x: Vec<u8> = vec![0; 10]; println!(\"{x:?}\"); } // ok",
    "https://example.org/a/b?c=d&e=f#g user@example.org C:\\temp\\x.txt 192.168.0.1:8080",
    "<s> </s> <pad> <unk> <mask> [CLS] [SEP] [MASK] [UNK] [PAD] <|endoftext|>",
    "[CLS][SEP] x[MASK]y [ MASK ] [mask] <MASK> <mask>  <mask>end \u{2581}x ▁▁ Ġx ##ing ##",
    "1234567890 3.14159 1,000,000 1e-10 0x1F ½ ² ③ 10:30 2026-11-22 $5 €6 £7 ¥8",
    "_under_score_ camelCase SCREAMING_SNAKE kebab-case dot.separated (round) [square] {curly}",
    "“Quotes” ‘single’ «guillemets» „German“ – en — em … ellipsis • bullet ¿qué? ¡sí!",
    "´ ` ^ ~ ¨ ¸ ˆ ˜ ÷ × ± § ¶ © ® ° µ ¬ ¦ \\ | / * + = < > @ # % &",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé",
    "中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中中",
    "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
    "                                                                                                  x",
    "The quick brown fox jumps over the lazy dog. THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG.",
    "Sphinx of black quartz, judge my vow\u{2019}s cr\u{e8}me br\u{fb}l\u{e9}e \u{1d54f}\u{1d7d8} \u{1e9e}",
    "how do I keep a model warm when nobody calls it for an hour, and what does that cost?",
    "Ein Modell, das schläft, ist kalt; niemals trifft eine Anfrage ein kaltes Modell.",
    "Le modèle est chaud avant la première requête, n'est-ce pas ? L'été, l'œuvre, l'Île.",
    "xx qq zz jj kqxz wvbq \u{fb01}\u{fb02}\u{132} \u{1c4}\u{1c5} \u{390}\u{3b0} \u{149} \u{1f52}",
];

/// The distance between two characters, and how many of them are in one text.
const STRIDE: u32 = 29;
const RUN: usize = 61;
/// How many tokens of the vocabulary are put into texts.
const SAMPLES: u32 = 1500;

/// # Errors
/// The first text for which they differ.
pub(super) fn equal(compiled: &Compiled, library: &Library) -> Result<(), String> {
    for text in corpus(library) {
        compare(compiled, library, &text)?;
    }
    match compiled.pair() {
        Some(pair) => pairs(compiled, pair, library),
        None => Ok(()),
    }
}

/// Whether it tells of every token what the crate tells.
pub(super) fn tells_details(compiled: &Compiled, library: &Library) -> bool {
    let Some(pipeline) = compiled.details() else {
        return false;
    };
    let same = |text: &str, special| {
        library::details(pipeline, text, special) == library::details(library, text, special)
    };
    corpus(library).all(|text| same(&text, Special::Add))
        && TEXTS.iter().all(|text| same(text, Special::Omit))
}

fn corpus(library: &Library) -> impl Iterator<Item = String> {
    let texts = TEXTS.into_iter().map(str::to_owned);
    texts
        .chain(added(library))
        .chain(vocabulary(library))
        .chain(characters())
}

/// Texts of the list, each with the next one.
fn pairs(compiled: &Compiled, pair: &Pair, library: &Library) -> Result<(), String> {
    for texts in TEXTS.windows(2) {
        let (first, second) = (texts[0], texts[1]);
        let expected = library
            .encode_fast((first, second), true)
            .map_err(|error| format!("the crate cannot encode {texts:?}: {error}"))?;
        let marks = expected.get_type_ids().iter().map(|kind| kind * SECOND);
        let expected = expected
            .get_ids()
            .iter()
            .zip(marks)
            .map(|(id, mark)| id | mark);
        let plain = |text| compiled.plain(text, usize::MAX);
        let found = pair.join(&plain(first), &plain(second), usize::MAX);
        if !found.iter().copied().eq(expected) {
            return Err(format!(
                "its compiled form gives other tokens for {texts:?}"
            ));
        }
    }
    Ok(())
}

fn compare(compiled: &Compiled, library: &Library, text: &str) -> Result<(), String> {
    let expected = library
        .encode_fast(text, true)
        .map_err(|error| format!("the crate cannot encode {text:?}: {error}"))?;
    let found = compiled.encode(text, usize::MAX);
    match found == expected.get_ids() {
        true => Ok(()),
        false => Err(format!("its compiled form gives other tokens for {text:?}")),
    }
}

/// Added tokens inside of words, beside spaces, and cut short.
fn added(library: &Library) -> impl Iterator<Item = String> {
    let tokens = library.get_added_tokens_decoder().into_values();
    let mut contents: Vec<String> = tokens.map(|token| token.content).collect();
    contents.sort_unstable();
    contents.into_iter().take(64).flat_map(|token| {
        let mut short = token.clone();
        short.pop();
        let upper = token.to_uppercase();
        [
            format!("warm{token}cold"),
            format!("warm {token} cold{token}{token}"),
            format!("  {token}  \n {short}{token}{short}x {upper}"),
        ]
    })
}

/// Tokens as the vocabulary spells them, side by side and apart.
fn vocabulary(library: &Library) -> impl Iterator<Item = String> {
    let size = u32::try_from(library.get_vocab_size(true)).unwrap_or(u32::MAX);
    let step = (size / SAMPLES).max(1) as usize;
    let ids: Vec<u32> = (0..size).step_by(step).collect();
    let tokens: Vec<String> = ids
        .iter()
        .filter_map(|id| library.id_to_token(*id))
        .collect();
    let texts: Vec<String> = tokens
        .chunks(24)
        .flat_map(|tokens| {
            let plain = tokens
                .iter()
                .map(|token| token.replace(['▁', 'Ġ'], " ").replace("##", ""));
            let plain: Vec<String> = plain.collect();
            [plain.join(" "), plain.concat(), tokens.join("")]
        })
        .collect();
    texts.into_iter()
}

/// Characters of all planes, some beside letters.
fn characters() -> impl Iterator<Item = String> {
    let all = (0..0x3_2000)
        .step_by(STRIDE as usize)
        .filter_map(char::from_u32);
    let all: Vec<char> = all.collect();
    let texts: Vec<String> = all
        .chunks(RUN)
        .map(|run| run.iter().flat_map(|c| ['a', *c]).collect())
        .collect();
    texts.into_iter()
}
