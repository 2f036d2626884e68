//! The stages of a pipeline: the parts that a plan turns on or off.

/// In the order in which they run: each is a gate for those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Security,
    Elt,
    Observability,
}

impl Stage {
    pub(crate) const ALL: [Self; 3] = [Self::Security, Self::Elt, Self::Observability];

    /// As plans, workflows and messages call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Elt => "elt",
            Self::Observability => "observability",
        }
    }
}
