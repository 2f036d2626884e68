//! dbt and what surrounds it: the Python environment that it runs in.

pub(crate) mod python;
