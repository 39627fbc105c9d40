//! Colors of the page.

/// WCAG 2.1 §1.4.3: 4.5 to 1 for text, and 3 to 1 (§1.4.11) for the parts of charts that carry meaning.
#[test]
fn colors_have_enough_contrast_in_both_themes() {
    let path = format!("{}/assets/style.css", env!("CARGO_MANIFEST_DIR"));
    let css = std::fs::read_to_string(path).unwrap();
    let block = |begin: &str| -> std::collections::BTreeMap<String, [f64; 3]> {
        let at = css.find(begin).unwrap_or_else(|| panic!("no {begin}"));
        let body = css[at + begin.len()..].split('}').next().unwrap();
        let lines = body
            .lines()
            .filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
        lines
            .map(|(name, hex)| {
                let part = |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                (name.to_owned(), [part(0), part(2), part(4)])
            })
            .collect()
    };
    let light = block(":root {");
    let dark = block(":root[data-theme=\"dark\"] {");
    assert_eq!(
        dark,
        block(":root:not([data-theme=\"light\"]) {"),
        "the dark theme stands twice"
    );
    let luminance = |[r, g, b]: [f64; 3]| {
        let linear = |part: f64| {
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    };
    let contrast = |a: [f64; 3], b: [f64; 3]| {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    };
    let mut checked = 0;
    for (theme, colors) in [("light", &light), ("dark", &dark)] {
        let mut check = |front: &str, back: &str, least: f64| {
            let ratio = contrast(colors[front], colors[back]);
            assert!(
                ratio >= least,
                "{theme}: {front} on {back} has {ratio:.2}, needs {least}"
            );
            checked += 1;
        };
        for front in ["text", "quiet", "link", "bad", "some", "good", "low"] {
            for back in ["page", "panel", "slot"] {
                check(front, back, 4.5);
            }
        }
        for name in ["bad", "some", "good", "info", "low"] {
            check(name, &format!("{name}-back"), 4.5);
        }
        for mark in ["accent", "focus", "bad", "some", "low", "period-1", "period-3"] {
            check(mark, "panel", 3.0);
        }
    }
    assert_eq!(checked, 2 * (21 + 5 + 7));
}
