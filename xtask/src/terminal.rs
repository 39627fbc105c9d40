//! Pictures of the terminal UI for the README: the real program in tmux, its screen drawn as SVG.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::shell::{command, execute, has, root};
use crate::test::install_packages;

/// Name of a picture, the keys that lead to it, and what it must show.
const SHOWN: [(&str, &[&str], &str); 3] = [
    ("main", &["!"], "ALERT"),
    ("why", &["!", "w"], "terms of the sum"),
    ("peers", &["!", "c"], "192.168.77.100"),
];
const COLUMNS: usize = 120;
const LINES: usize = 36;
/// Size of a cell, pixels.
const CELL: (f64, f64) = (8.4, 18.0);
/// Between two keys: a picture is drawn in a fraction of it.
const SETTLE: Duration = Duration::from_millis(700);
/// The screen must show this before keys are pressed: the window is there, not only the list.
const READY: &str = "ALERT";
/// Longest wait for what must be on the screen.
const PATIENCE: Duration = Duration::from_secs(60);
const SESSION: &str = "lynceus-pictures";
/// Paths of this machine do not belong into a picture.
const PROGRAM: &str = "target/debug/lynceus console --from target/debug/demo";

/// Runs the demo, opens what it found in the terminal UI, and draws its screens into `docs/images`.
pub(crate) fn pictures() -> anyhow::Result<()> {
    install_packages(&[("iproute2", "ip"), ("tmux", "tmux")])?;
    ensure!(has("tmux"), "pictures of the terminal need tmux");
    let demo = ["run", "--locked", "-p", "lynceus-tests", "--bin", "lynceus-demo"];
    execute(command("cargo").args(demo))?;
    let images = root().join("docs/images");
    fs::create_dir_all(&images).with_context(|| format!("failed to create {}", images.display()))?;
    for (name, keys, shown) in SHOWN {
        let screen = Terminal(name).screen(keys, shown)?;
        let path = images.join(format!("console-{name}.svg"));
        fs::write(&path, svg(&screen)).with_context(|| format!("failed to write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// A tmux server for one picture: one that ends would take the next session with it, and what else runs in tmux here is
/// left alone.
struct Terminal(&'static str);

impl Terminal {
    /// The screen after these keys, with its colors as escape sequences.
    fn screen(&self, keys: &[&str], shown: &str) -> anyhow::Result<String> {
        let (columns, lines) = (COLUMNS.to_string(), LINES.to_string());
        let mut start = self.tmux();
        start.args(["-u", "-f", "/dev/null", "new-session", "-d", "-s", SESSION]);
        start.args(["-x", &columns, "-y", &lines, PROGRAM]);
        // Lines and arrows as most people see them, whatever the locale here.
        start.env("LC_ALL", "C.UTF-8");
        execute(start.env_remove("TMUX").env_remove("NO_COLOR"))?;
        let taken = self.keyed(keys, shown);
        execute(self.tmux().arg("kill-server"))?;
        taken
    }

    fn tmux(&self) -> Command {
        let mut tmux = command("tmux");
        tmux.args(["-L", &format!("{SESSION}-{}", self.0)]);
        tmux
    }

    fn keyed(&self, keys: &[&str], shown: &str) -> anyhow::Result<String> {
        self.wait_for(READY)?;
        for key in keys {
            execute(self.tmux().args(["send-keys", "-t", SESSION, key]))?;
            thread::sleep(SETTLE);
        }
        self.wait_for(shown)
    }

    /// The screen as soon as it shows a text.
    fn wait_for(&self, text: &str) -> anyhow::Result<String> {
        let begin = Instant::now();
        loop {
            let screen = self.capture()?;
            if screen.contains(text) {
                return Ok(screen);
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "the terminal UI showed no {text:?} within {PATIENCE:?}"
            );
            thread::sleep(SETTLE);
        }
    }

    fn capture(&self) -> anyhow::Result<String> {
        let output = self
            .tmux()
            .args(["capture-pane", "-e", "-p", "-t", SESSION])
            .output()
            .context("failed to start tmux")?;
        ensure!(output.status.success(), "tmux gave no screen");
        String::from_utf8(output.stdout).context("the screen is no text")
    }
}

/// How a character looks.
#[derive(Clone, Default, PartialEq)]
struct Look {
    front: Option<String>,
    back: Option<String>,
    bold: bool,
    dim: bool,
    underlined: bool,
    turned: bool,
}

const FRONT: &str = "#d8dee9";
const BACK: &str = "#12161f";
/// The sixteen colors, dark ones first.
const PALETTE: [&str; 16] = [
    "#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9", "#6b7486",
    "#ff7b86", "#b3e08f", "#ffd98a", "#82c4ff", "#e09bf5", "#7fd6e0", "#ffffff",
];

fn svg(screen: &str) -> String {
    let (width, height) = (COLUMNS as f64 * CELL.0 + 16.0, LINES as f64 * CELL.1 + 16.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"'DejaVu Sans Mono', \
         'Liberation Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" \
         fill=\"{BACK}\"/>\n"
    );
    // tmux says only what changes, over the ends of lines as well.
    let mut look = Look::default();
    for (number, line) in screen.lines().take(LINES).enumerate() {
        look = draw(&mut out, line, look, 8.0 + number as f64 * CELL.1);
    }
    out.push_str("</svg>\n");
    out
}

/// Draws one line: runs of characters that look alike, each at its own column, whatever the font's widths are. Begins with
/// a look, and gives the one at its end.
fn draw(out: &mut String, line: &str, mut look: Look, top: f64) -> Look {
    let mut column = 0;
    let mut run = String::new();
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            let mut codes = String::new();
            // `ESC [ numbers m`; tmux writes no other sequence here.
            for c in rest.by_ref().skip(1) {
                if c.is_ascii_alphabetic() {
                    break;
                }
                codes.push(c);
            }
            let next = look.after(&codes);
            if next != look {
                flush(out, &mut run, &mut column, &look, top);
                look = next;
            }
            continue;
        }
        run.push(c);
    }
    flush(out, &mut run, &mut column, &look, top);
    look
}

fn flush(out: &mut String, run: &mut String, column: &mut usize, look: &Look, top: f64) {
    let cells = run.chars().count();
    let left = 8.0 + *column as f64 * CELL.0;
    *column += cells;
    let text = std::mem::take(run);
    let front = look.front.as_deref().unwrap_or(FRONT);
    let (front, back) = if look.turned {
        (look.back.as_deref().unwrap_or(BACK), Some(front))
    } else {
        (front, look.back.as_deref())
    };
    let width = cells as f64 * CELL.0;
    // Writing into a string cannot fail.
    if let Some(back) = back {
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{back}\"/>",
            CELL.1
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let style = [
        (look.bold, " font-weight=\"bold\""),
        (look.dim, " opacity=\"0.65\""),
        (look.underlined, " text-decoration=\"underline\""),
    ];
    let style: String = style
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, style)| *style)
        .collect();
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" fill=\"{front}\"{style} textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\">{escaped}</text>",
        top + 13.5
    );
}

impl Look {
    /// As the codes of an SGR sequence change it (ECMA-48, 8.3.117).
    fn after(&self, codes: &str) -> Self {
        let mut look = self.clone();
        let mut codes = codes
            .split([';', ':'])
            .map(|code| code.parse::<usize>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => look = Self::default(),
                1 => look.bold = true,
                2 => look.dim = true,
                4 => look.underlined = true,
                7 => look.turned = true,
                22 => (look.bold, look.dim) = (false, false),
                24 => look.underlined = false,
                27 => look.turned = false,
                30..=37 => look.front = Some(PALETTE[code - 30].to_owned()),
                38 => look.front = color(&mut codes),
                39 => look.front = None,
                40..=47 => look.back = Some(PALETTE[code - 40].to_owned()),
                48 => look.back = color(&mut codes),
                49 => look.back = None,
                90..=97 => look.front = Some(PALETTE[code - 82].to_owned()),
                100..=107 => look.back = Some(PALETTE[code - 92].to_owned()),
                _ => {}
            }
        }
        look
    }
}

/// The rest of 38 and 48: `5;n` of 256 colors, `2;r;g;b`.
fn color(codes: &mut impl Iterator<Item = usize>) -> Option<String> {
    match codes.next()? {
        5 => Some(match codes.next()? {
            n @ 0..=15 => PALETTE[n].to_owned(),
            n @ 16..=231 => {
                let level = |value: usize| if value == 0 { 0 } else { 55 + 40 * value };
                let (r, g, b) = ((n - 16) / 36, (n - 16) / 6 % 6, (n - 16) % 6);
                format!("#{:02x}{:02x}{:02x}", level(r), level(g), level(b))
            }
            n => {
                let gray = (8 + 10 * (n.min(255) - 232)).min(255);
                format!("#{gray:02x}{gray:02x}{gray:02x}")
            }
        }),
        2 => {
            let (r, g, b) = (codes.next()?, codes.next()?, codes.next()?);
            Some(format!("#{:02x}{:02x}{:02x}", r.min(255), g.min(255), b.min(255)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_and_columns_come_through() {
        let picture = svg("a\u{1b}[1;31mred<\u{1b}[0m \u{1b}[38;5;196;7mx\u{1b}[39;27m");
        assert!(picture.contains(">a</text>"));
        assert!(picture.contains("x=\"16.4\"") && picture.contains("fill=\"#e06c75\" font-weight=\"bold\""));
        assert!(picture.contains("red&lt;"));
        assert!(
            picture.contains("fill=\"#ff0000\""),
            "turned: the front color is behind"
        );
    }

    #[test]
    fn a_color_goes_on_in_the_next_line() {
        let picture = svg("\u{1b}[31ma\nb\u{1b}[39m\nc");
        assert_eq!(picture.matches("fill=\"#e06c75\"").count(), 2);
        assert!(picture.contains(&format!(
            "fill=\"{FRONT}\" textLength=\"8.4\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">c<"
        )));
    }

    #[test]
    fn foreign_codes_change_nothing_and_do_not_panic() {
        for codes in [
            "",
            "999",
            "38",
            "38;5",
            "38;5;999",
            "38;2;1",
            "48;2;300;1;2",
            ";;;",
            "x",
        ] {
            let _ = Look::default().after(codes);
        }
        assert!(Look::default().after("58;3") == Look::default());
    }
}
