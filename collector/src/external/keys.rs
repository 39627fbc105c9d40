//! Every key of modules in Redis. `P` is the prefix of the store; the braces keep all of them in one slot of a cluster,
//! so that one script may change them together.
//!
//! | key | type | content |
//! |---|---|---|
//! | `P:{modules}:epoch` | string | each collector that begins to publish adds 1, older ones are fenced off |
//! | `P:{modules}:settings` | string | JSON: how the detectors are configured and which process has which |
//! | `P:{modules}:updates` | stream | id `position-0`, field `z`: `ModuleUpdates`, zstd; a consumer group a module |
//! | `P:{modules}:bytes` | string | bytes of its entries |
//! | `P:{modules}:trimmed` | hash | `count` of entries that its bound removed, `to` the last of them |
//! | `P:{modules}:cursors` | hash | module → the last entry it is through with |
//! | `P:{modules}:replay` | hash | module → after this entry a new process must read to know the open windows |
//! | `P:{modules}:lost` | hash | module → entries that were removed before it came to them |
//! | `P:{modules}:said` | stream | field `s`: `ModuleSaid`; consumer group `collector` |
//! | `P:{modules}:lease:NAME` | string, expires | the process that works |
//! | `P:{modules}:status:NAME` | hash | what it tells of itself |

/// Makes keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    pub(super) fn of(&self, name: &str) -> String {
        format!("{}:{{modules}}:{name}", self.prefix)
    }

    pub(super) fn updates(&self) -> String {
        self.of("updates")
    }

    pub(super) fn said(&self) -> String {
        self.of("said")
    }

    pub(super) fn lease(&self, module: &str) -> String {
        self.of(&format!("lease:{module}"))
    }

    pub(super) fn status(&self, module: &str) -> String {
        self.of(&format!("status:{module}"))
    }
}
