//! Behavioral letters as a strip: color says how periodic, height how large, width how long.

use std::fmt::Write as _;

use super::Escaped;

/// Symbols that are drawn; the text beside has them all.
const MOST: usize = 120;

/// What a letter says: periodicity (0 no data yet, 1 strong … 4 none), size and duration class (0 to 2).
fn meaning(letter: char) -> Option<(usize, usize, usize)> {
    let (row, column) = match letter {
        '1'..='9' => (0, letter as usize - '1' as usize),
        'a'..='i' => (1, letter as usize - 'a' as usize),
        'A'..='I' => (2, letter as usize - 'A' as usize),
        'r'..='z' => (3, letter as usize - 'r' as usize),
        'R'..='Z' => (4, letter as usize - 'R' as usize),
        _ => return None,
    };
    Some((row, column / 3, column % 3))
}

/// The strip of a tuple's letters. The newest are on the right.
#[must_use]
pub fn letters(text: &str) -> String {
    const WORDS: [&str; 5] = [
        "first flows, nothing to compare",
        "strongly periodic",
        "weakly periodic",
        "weakly non-periodic",
        "not periodic",
    ];
    const SIZES: [&str; 3] = ["small", "medium", "large"];
    const LENGTHS: [&str; 3] = ["short", "medium", "long"];
    let symbols: Vec<(char, (usize, usize, usize))> = text
        .chars()
        .filter_map(|letter| Some((letter, meaning(letter)?)))
        .collect();
    let shown = &symbols[symbols.len().saturating_sub(MOST)..];
    let width: usize = shown.iter().map(|(_, (_, _, length))| 4 + 2 * length).sum();
    let mut svg = String::new();
    // Writing into a string cannot fail.
    let _ = write!(
        svg,
        r#"<svg class="letters" viewBox="0 0 {width} 22" width="{width}" height="22" role="img" aria-label="behavioral letters {}">"#,
        Escaped(text)
    );
    let mut x = 0;
    for (letter, (row, size, length)) in shown {
        let (width, height) = (3 + 2 * length, 8 + 7 * size);
        let _ = write!(
            svg,
            r#"<rect class="period-{row}" x="{x}" y="{}" width="{width}" height="{height}"><title>{letter}: {}, {} flow, {} duration</title></rect>"#,
            22 - height,
            WORDS[*row],
            SIZES[*size],
            LENGTHS[*length]
        );
        x += width + 1;
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_mean_what_the_model_writes() {
        assert_eq!(meaning('1'), Some((0, 0, 0)));
        assert_eq!(meaning('i'), Some((1, 2, 2)));
        assert_eq!(meaning('A'), Some((2, 0, 0)));
        assert_eq!(meaning('z'), Some((3, 2, 2)));
        assert_eq!(meaning('R'), Some((4, 0, 0)));
        for separator in ['.', ',', '+', '*', '0', '<'] {
            assert_eq!(meaning(separator), None);
        }
        let svg = letters("88*y*y*i*H*H*\"<");
        assert_eq!(svg.matches("<rect").count(), 7);
        assert!(svg.contains("&quot;&lt;"));
    }
}
