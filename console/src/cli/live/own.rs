//! Who we are: identity of the sensor.

use std::path::Path;

use anyhow::Context;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::BootId;

/// Identity of the sensor, which stays with its store, and of this start.
pub(super) struct Identity {
    pub(super) sensor: SensorId,
    pub(super) boot: BootId,
}

impl Identity {
    /// Reads the identity that is kept beside the store, or makes a new one.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub(super) fn of(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("sensor-id");
        let sensor = match std::fs::read_to_string(&path) {
            Ok(text) => uuid::Uuid::parse_str(text.trim()).with_context(|| format!("{}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let new = uuid::Uuid::new_v4();
                std::fs::write(&path, format!("{new}\n"))
                    .with_context(|| format!("cannot write {}", path.display()))?;
                new
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self {
            sensor: SensorId(sensor.into_bytes()),
            boot: BootId(uuid::Uuid::new_v4().into_bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_stays_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::of(folder.path()).unwrap();
        let second = Identity::of(folder.path()).unwrap();
        assert_eq!(first.sensor, second.sensor);
        assert_ne!(first.boot, second.boot);
        std::fs::write(folder.path().join("sensor-id"), "what").unwrap();
        assert!(Identity::of(folder.path()).is_err());
    }
}
