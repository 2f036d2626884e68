//! What tests share: a scrubbed command, a scratch checkout, and the repository's own root.
