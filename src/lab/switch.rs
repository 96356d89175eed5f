//! Tables of named switches: flaws, which are mistakes, and habits, which are none.

use std::fmt;

/// Declares an enum of switches, one line each: variant, name and one sentence that says what the server does with it. The word before the table is
/// what such a switch is called.
macro_rules! switches {
    ($what:literal $(#[$about:meta])* $Switch:ident { $($variant:ident $name:literal $describes:literal)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $Switch {
            $(#[doc = $describes] $variant,)+
        }

        impl $Switch {
            /// Every one, in the order in which they are documented.
            pub const ALL: &'static [$Switch] = &[$($Switch::$variant,)+];

            /// The name used on the command line and in reports.
            pub fn name(self) -> &'static str {
                match self { $($Switch::$variant => $name,)+ }
            }

            /// One sentence that says what the server does.
            pub fn describes(self) -> &'static str {
                match self { $($Switch::$variant => $describes,)+ }
            }
        }

        impl std::fmt::Display for $Switch {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $Switch {
            type Err = $crate::lab::UnknownSwitch;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                let found = $Switch::ALL.iter().copied().find(|switch| switch.name() == name);
                found.ok_or_else(|| $crate::lab::UnknownSwitch { what: $what, name: name.to_owned() })
            }
        }
    };
}

pub(super) use switches;

/// A name that no switch of its kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSwitch {
    /// `flaw` or `habit`.
    pub what: &'static str,
    pub name: String,
}

impl fmt::Display for UnknownSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {} named {:?}", self.what, self.name)
    }
}

impl std::error::Error for UnknownSwitch {}
