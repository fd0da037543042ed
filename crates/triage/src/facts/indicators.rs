//! What a layer would talk to, make or ask for: read from its bytes, never looked up, never connected to.

use crate::report::words;
use serde::{Deserialize, Serialize};

words! {
    /// What an indicator is.
    IndicatorKind {
        /// The domain whose answer stops a worm.
        KillSwitch = "kill-switch",
        /// A domain name.
        Domain = "domain",
        /// An URL.
        Url = "url",
        /// An address.
        Ip = "ip",
        /// A port, with what it is for.
        Port = "port",
        /// An e-mail address.
        Email = "email",
        /// A mutex.
        Mutex = "mutex",
        /// A Windows service.
        Service = "service",
        /// A file or directory on the victim.
        File = "file",
        /// A command line.
        Command = "command",
        /// An account to be paid to.
        Wallet = "wallet",
    }
}

impl IndicatorKind {
    /// Its place in a list for people, who read the first few: what stops it, whom it pays and where it connects to come
    /// before what it does on the machine.
    pub const fn rank(self) -> u8 {
        match self {
            Self::KillSwitch => 0,
            Self::Wallet => 1,
            Self::Url => 2,
            Self::Domain => 3,
            Self::Ip => 4,
            Self::Email => 5,
            Self::Mutex => 6,
            Self::Service => 7,
            Self::Command => 8,
            Self::Port => 9,
            Self::File => 10,
        }
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indicator {
    /// What it is.
    pub kind: IndicatorKind,
    /// As it stands there. Attacker's text.
    pub value: String,
    /// Where it stands in the layer, in bytes.
    pub at: u64,
    /// What is known about it: `the 2017 original's`, `its check was patched out`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}
