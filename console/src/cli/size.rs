//! Amounts of memory as people write them: `512M`, `2GiB`, `1000000`.

/// Bytes; K, M, G, T are powers of 1,024, with or without `B` or `iB` behind.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.len()
        - text
            .trim_start_matches(|letter: char| letter.is_ascii_digit())
            .len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` does not begin with a number"))?;
    let unit = unit.trim().to_ascii_uppercase();
    let unit = unit
        .strip_suffix("IB")
        .or_else(|| unit.strip_suffix('B'))
        .unwrap_or(&unit);
    let power = match unit {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(format!("`{unit}` is not one of K, M, G, T")),
    };
    number
        .checked_mul(1 << (10 * power))
        .ok_or_else(|| format!("`{text}` is more than this machine can count"))
}

/// Less holds hardly a flow, and is a unit that was forgotten.
const LEAST: u64 = 4 << 10;

/// Memory for flows.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    match parse(text)? {
        bytes if bytes < LEAST => Err(format!(
            "`{text}` is less than 4K; is a unit missing, as in 512M?"
        )),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::{memory, parse};

    #[test]
    fn memory_for_flows_has_a_minimum() {
        assert_eq!(memory("4K"), Ok(4096));
        for text in ["0", "1", "512", "4095"] {
            assert!(memory(text).unwrap_err().contains("less than 4K"), "{text}");
        }
    }

    #[test]
    fn as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("512M", 512 << 20),
            ("2GiB", 2 << 30),
            ("3 kb", 3072),
            ("16B", 16),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "12X", "-1", "99999999999T"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
