//! Many hosts over more than a day, and one of them that does what nobody does.

use super::super::stage::Stage;

const HOSTS: u8 = 10;
/// The baseline is warm after a day.
const HOURS: u16 = 26;
/// Servers that the odd host calls in its last hour; others call up to eight.
const ODD: u16 = 400;

pub(crate) fn play(stage: &mut Stage) {
    let mut number = 0;
    for hour in 0..HOURS {
        for host in 0..HOSTS {
            let odd = host == 0 && hour + 1 == HOURS;
            let calls = if odd { ODD } else { 3 + scattered(number) % 6 };
            for call in 0..calls {
                number += 1;
                let server = if odd { call } else { scattered(number) % 40 };
                let from = stage.own(95, 5 + host, 40_000 + number % 20_000);
                let to = stage.out(100 + (server / 200) as u8, 1 + (server % 200) as u8, 443);
                // People have no rhythm.
                let seconds = f64::from(hour) * 3_600.0
                    + f64::from(call) * 7.0
                    + f64::from(host)
                    + f64::from(scattered(number)) / 200.0;
                stage.air.talk(seconds, from, to).end();
            }
        }
    }
    let odd = stage.own(95, 5, 0);
    stage.found("OUTLIER", odd);
}

/// Up to a thousand.
const fn scattered(number: u16) -> u16 {
    let mut word = (number as u32).wrapping_mul(0x9e37_79b9);
    word = (word ^ (word >> 15)).wrapping_mul(0x85eb_ca6b);
    ((word >> 16) % 1_000) as u16
}
