use super::*;

/// Red, green and blue, 0 to 1 and linear, of one of the 256 colors.
fn linear(color: Color) -> [f64; 3] {
    let Color::Indexed(index) = color else {
        panic!("{color:?}")
    };
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    let channels = match index {
        16..=231 => {
            let at = index - 16;
            [level(at / 36), level(at / 6 % 6), level(at % 6)]
        }
        232..=255 => [8 + 10 * (index - 232); 3],
        other => panic!("{other} depends on the terminal"),
    };
    channels.map(|channel| {
        let share = f64::from(channel) / 255.0;
        if share <= 0.04045 {
            share / 12.92
        } else {
            ((share + 0.055) / 1.055).powf(2.4)
        }
    })
}

/// Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009),
/// severity 1.0.
const PROTANOPIA: [[f64; 3]; 3] = [
    [0.152_286, 1.052_583, -0.204_868],
    [0.114_503, 0.786_281, 0.099_216],
    [-0.003_882, -0.048_116, 1.051_998],
];
const DEUTERANOPIA: [[f64; 3]; 3] = [
    [0.367_322, 0.860_646, -0.227_968],
    [0.280_085, 0.672_501, 0.047_413],
    [-0.011_820, 0.042_940, 0.968_881],
];
const TRITANOPIA: [[f64; 3]; 3] = [
    [1.255_528, -0.076_749, -0.178_779],
    [-0.078_411, 0.930_809, 0.147_602],
    [0.004_733, 0.691_367, 0.303_900],
];

fn seen(color: Color, vision: &[[f64; 3]; 3]) -> [f64; 3] {
    let rgb = linear(color);
    vision.map(|row| {
        row.iter()
            .zip(rgb)
            .map(|(a, b)| a * b)
            .sum::<f64>()
            .clamp(0.0, 1.0)
    })
}

/// CIE L*a*b*, in which equal distances look about equally different (D65).
fn lab(rgb: [f64; 3]) -> [f64; 3] {
    let [r, g, b] = rgb;
    let x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505;
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089;
    let f = |t: f64| {
        if t > 0.008_856 {
            t.cbrt()
        } else {
            7.787 * t + 16.0 / 116.0
        }
    };
    [116.0 * f(y) - 16.0, 500.0 * (f(x) - f(y)), 200.0 * (f(y) - f(z))]
}

fn difference(one: Color, other: Color, vision: &[[f64; 3]; 3]) -> f64 {
    let (one, other) = (lab(seen(one, vision)), lab(seen(other, vision)));
    one.iter()
        .zip(other)
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f64>()
        .sqrt()
}

#[test]
fn bad_good_and_doubtful_look_different_to_everybody() {
    for vision in [PROTANOPIA, DEUTERANOPIA, TRITANOPIA] {
        let palette = COLOR_BLIND;
        for (one, other) in [
            (palette.alert, palette.good),
            (palette.alert, palette.warning),
            (palette.good, palette.warning),
        ] {
            let far = difference(one, other, &vision);
            // 2.3 is just noticeable; words on a screen need more.
            assert!(far > 20.0, "{one:?} {other:?}: {far:.1}");
        }
    }
}

/// WCAG 2: (lighter + 0.05) / (darker + 0.05) of the relative luminances.
#[test]
fn colors_of_light_backgrounds_are_readable_on_white() {
    let palette = LIGHT;
    for color in [
        palette.alert,
        palette.good,
        palette.warning,
        palette.accent,
        palette.focus,
        palette.quiet,
    ] {
        let [r, g, b] = linear(color);
        let contrast = 1.05 / (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05);
        assert!(contrast >= 4.5, "{color:?}: {contrast:.1}");
    }
}

#[test]
fn themes_follow_each_other_in_a_circle() {
    let mut theme = Theme::default();
    for _ in Theme::ALL {
        theme = theme.next();
    }
    assert_eq!(theme, Theme::default());
    assert_eq!(Theme::Mono.alert().fg, None);
}
