//! Presets, drafts, questions and files.

use super::*;

mod asked;
mod composed;
mod files;
