//! `--world`: what kind of company the data shows, so that a planning policy can be tested on more than one.

/// The kinds of demand and supply that a policy has to cope with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum World {
    /// A bit of everything: seasons, campaigns, sudden fashions, some late suppliers.
    #[default]
    Mixed,
    /// Even demand without seasons, campaigns or fashions, and reliable suppliers.
    Steady,
    /// Strong yearly seasons.
    Seasonal,
    /// Few and irregular orders.
    Intermittent,
    /// Late deliveries and strikes.
    SupplierTrouble,
}

impl World {
    /// As `--world` takes it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Steady => "steady",
            Self::Seasonal => "seasonal",
            Self::Intermittent => "intermittent",
            Self::SupplierTrouble => "supplier-trouble",
        }
    }

    /// Factor on the yearly swing of each category.
    pub(super) fn season_strength(self) -> f64 {
        match self {
            Self::Steady => 0.0,
            Self::Seasonal => 1.8,
            Self::Mixed | Self::Intermittent | Self::SupplierTrouble => 1.0,
        }
    }

    /// Whether campaigns and sudden fashions happen.
    pub(super) fn has_events(self) -> bool {
        self != Self::Steady
    }

    /// Factor on the number of customer orders.
    pub(super) fn order_rate(self) -> f64 {
        if self == Self::Intermittent { 0.25 } else { 1.0 }
    }

    /// Chance that a delivery is one to three weeks late.
    pub(super) fn late_chance(self) -> f64 {
        match self {
            Self::Steady => 0.01,
            Self::SupplierTrouble => 0.25,
            Self::Mixed | Self::Seasonal | Self::Intermittent => 0.06,
        }
    }

    /// Factor on the standard deviation of lead times.
    pub(super) fn lead_time_spread(self) -> f64 {
        match self {
            Self::Steady => 0.5,
            Self::SupplierTrouble => 2.0,
            Self::Mixed | Self::Seasonal | Self::Intermittent => 1.0,
        }
    }

    /// One supplier in so many is on strike when the data ends; `None` for none.
    pub(super) fn strike_every(self) -> Option<u32> {
        match self {
            Self::Steady => None,
            Self::SupplierTrouble => Some(3),
            Self::Mixed | Self::Seasonal | Self::Intermittent => Some(8),
        }
    }
}
