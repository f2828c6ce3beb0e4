//! The description as a page.
