//! All tables that come with the program, and one look-up in all of them.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::asn::{System, Systems};
use super::container::{Container, Damaged};
use super::country::{Code, Countries};
use super::place::{Place, Places};
use super::special::{Special, special};
use super::vendor::Vendors;
use super::zones;
use crate::fact::Matched;

/// Legal zones that are kept for a place: 10 bits each in 32.
const MAX_ZONES: usize = 3;

/// The tables. Opening reads headers and indexes; the rest is unpacked where a look-up needs it.
#[derive(Debug)]
pub struct Tables {
    pub systems: Systems,
    /// IPtoASN's countries and DB-IP's.
    pub iptoasn: Countries,
    pub dbip: Countries,
    pub places: Places,
    pub vendors: Vendors,
    /// Legal zones of each place as it was first asked for: 0 is not asked yet, else 1 + the zones' numbers.
    zones: Vec<AtomicU32>,
    /// Look-ups that met a damaged block.
    damaged: AtomicU64,
}

/// What the tables say of an address. Texts are the tables' own: nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct Offline<'a> {
    pub ip: IpAddr,
    /// The block of the registries, for addresses that are not ordinary public ones.
    pub special: Option<Special>,
    pub system: Option<System<'a>>,
    pub iptoasn: Option<(Code, Matched)>,
    pub dbip: Option<(Code, Matched)>,
    pub place: Option<Place<'a>>,
    /// Legal zones of the place, the main one first.
    pub zones: Zones,
    /// A table was damaged there: what is `None` above may be unknown for that reason.
    pub damaged: bool,
}

impl Offline<'_> {
    /// Tables have leftovers of blocks that nobody routes; none of them is about the host at hand.
    fn is_in_tables(&self) -> bool {
        self.special.is_none_or(|special| special.global)
    }
}

/// Up to three IANA names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zones(u32);

impl Zones {
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..MAX_ZONES).filter_map(move |at| {
            let number = (self.0 >> (2 + 10 * at)) & 0x3ff;
            zones::names().get((number as usize).checked_sub(1)?).copied()
        })
    }

    /// Bit 0: they were looked up. Then ten bits each: 0 or the place in the list of names and 1.
    fn find((latitude, longitude): (f64, f64)) -> Self {
        let all = zones::names();
        let mut packed = 1;
        for (at, name) in zones::legal(latitude, longitude)
            .into_iter()
            .take(MAX_ZONES)
            .enumerate()
        {
            if let Ok(number) = all.binary_search(&name)
                && number < 0x3ff
            {
                packed |= (number as u32 + 1) << (2 + 10 * at);
            }
        }
        Self(packed)
    }
}

impl Tables {
    /// The tables that the program was built with.
    ///
    /// # Errors
    /// The program was built with a damaged table.
    pub fn embedded() -> Result<&'static Self, Damaged> {
        static TABLES: OnceLock<Result<Tables, Damaged>> = OnceLock::new();
        let tables = TABLES.get_or_init(|| {
            Self::open(
                Container::open(include_bytes!("../../data/asn.lyntab").as_slice())?,
                Container::open(include_bytes!("../../data/country-iptoasn.lyntab").as_slice())?,
                Container::open(include_bytes!("../../data/country-dbip.lyntab").as_slice())?,
                Container::open(include_bytes!("../../data/city.lyntab").as_slice())?,
                Container::open(include_bytes!("../../data/mac-vendor.lyntab").as_slice())?,
            )
        });
        tables.as_ref().map_err(Clone::clone)
    }

    /// # Errors
    /// One of them is no such table.
    pub fn open(
        systems: Container,
        iptoasn: Container,
        dbip: Container,
        places: Container,
        vendors: Container,
    ) -> Result<Self, Damaged> {
        let places = Places::open(places)?;
        Ok(Self {
            systems: Systems::open(systems)?,
            iptoasn: Countries::open(iptoasn)?,
            dbip: Countries::open(dbip)?,
            zones: (0..=places.count()).map(|_| AtomicU32::new(0)).collect(),
            places,
            vendors: Vendors::open(vendors)?,
            damaged: AtomicU64::new(0),
        })
    }

    /// The files, for `about data`.
    #[must_use]
    pub fn containers(&self) -> [&Container; 5] {
        [
            &self.systems.container,
            &self.iptoasn.container,
            &self.dbip.container,
            &self.places.container,
            &self.vendors.container,
        ]
    }

    /// Everything the tables say of an address.
    #[must_use]
    pub fn find(&self, ip: IpAddr) -> Offline<'_> {
        let mut offline = self.owner(ip);
        if offline.is_in_tables() {
            offline.place = known(self.places.find(offline.ip), &mut offline.damaged);
            offline.zones = offline
                .place
                .map_or_else(Zones::default, |place| self.zones_of(place));
        }
        self.count(offline)
    }

    /// The same without place and zones, which are most of the work.
    #[must_use]
    pub fn find_owner(&self, ip: IpAddr) -> Offline<'_> {
        self.count(self.owner(ip))
    }

    fn owner(&self, ip: IpAddr) -> Offline<'_> {
        let ip = ip.to_canonical();
        let mut offline = Offline {
            ip,
            special: None,
            system: None,
            iptoasn: None,
            dbip: None,
            place: None,
            zones: Zones::default(),
            damaged: false,
        };
        offline.special = special(ip).filter(|special| special.category != super::special::Category::Public);
        if offline.is_in_tables() {
            let damaged = &mut offline.damaged;
            offline.system = known(self.systems.find(ip), damaged);
            offline.iptoasn = known(self.iptoasn.find(ip), damaged);
            offline.dbip = known(self.dbip.find(ip), damaged);
        }
        offline
    }

    fn count<'a>(&self, offline: Offline<'a>) -> Offline<'a> {
        if offline.damaged {
            self.damaged.fetch_add(1, Ordering::Relaxed);
        }
        offline
    }

    /// The autonomous system alone, for detectors; `None` also for addresses that nobody routes.
    #[must_use]
    pub fn find_system(&self, ip: IpAddr) -> Option<System<'_>> {
        let ip = ip.to_canonical();
        if !super::special::is_routable(ip) {
            return None;
        }
        let mut damaged = false;
        let system = known(self.systems.find(ip), &mut damaged);
        if damaged {
            self.damaged.fetch_add(1, Ordering::Relaxed);
        }
        system
    }

    /// Look-ups that met a damaged block.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    fn zones_of(&self, place: Place<'_>) -> Zones {
        let Some(position) = place.position else {
            return Zones::default();
        };
        let Some(kept) = self.zones.get(place.number as usize) else {
            return Zones::find(position);
        };
        match kept.load(Ordering::Relaxed) {
            0 => {
                let zones = Zones::find(position);
                // Others may write the same at the same time.
                kept.store(zones.0, Ordering::Relaxed);
                zones
            }
            zones => Zones(zones),
        }
    }
}

fn known<T>(found: Result<Option<T>, Damaged>, damaged: &mut bool) -> Option<T> {
    found.unwrap_or_else(|_| {
        *damaged = true;
        None
    })
}
