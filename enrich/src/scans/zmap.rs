//! ZMap's CSV: whatever output fields were chosen, in any order; or addresses only.

use std::net::IpAddr;

use super::{Line, Seen, time};

/// Where the fields stand.
#[derive(Clone, Copy, Debug, Default)]
struct Heading {
    saddr: usize,
    sport: Option<usize>,
    success: Option<usize>,
    classification: Option<usize>,
    timestamp: Option<usize>,
}

pub(super) struct Reader {
    heading: Option<Heading>,
    port: Option<u16>,
}

impl Reader {
    pub(super) const fn new(port: Option<u16>) -> Self {
        Self { heading: None, port }
    }

    pub(super) fn line(&mut self, line: &str) -> Result<Line, String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(Line::Nothing);
        }
        // ZMap writes no commas inside fields.
        let fields: Vec<&str> = line
            .split(',')
            .map(|field| field.trim().trim_matches('"'))
            .collect();
        let heading = match self.heading {
            Some(heading) => heading,
            None => {
                let at = |name: &str| fields.iter().position(|field| *field == name);
                if let Some(saddr) = at("saddr") {
                    self.heading = Some(Heading {
                        saddr,
                        sport: at("sport"),
                        success: at("success"),
                        classification: at("classification"),
                        timestamp: at("timestamp_str").or_else(|| at("timestamp")),
                    });
                    return Ok(Line::Nothing);
                }
                *self.heading.insert(Heading::default())
            }
        };
        let of = |place: Option<usize>| place.and_then(|place| fields.get(place)).copied();
        let text = of(Some(heading.saddr)).unwrap_or_default();
        let ip: IpAddr = text.parse().map_err(|_| format!("{text:?} is no address"))?;
        if of(heading.success).is_some_and(|success| success == "0" || success == "false") {
            return Ok(Line::Closed);
        }
        if heading.success.is_none()
            && of(heading.classification).is_some_and(|class| class.starts_with("rst"))
        {
            return Ok(Line::Closed);
        }
        let port = match of(heading.sport) {
            Some(text) => text.parse().map_err(|_| format!("{text:?} is no port"))?,
            None => self.port.ok_or("no field sport, so the port must be given")?,
        };
        Ok(Line::Seen(vec![Seen {
            ip,
            port,
            service: None,
            banner: None,
            at: of(heading.timestamp).and_then(time),
        }]))
    }
}
