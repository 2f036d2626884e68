//! Cases of the SQL group.
