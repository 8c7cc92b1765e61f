//! The presets, each against the tree and the database of the system that it is for, on the real binary. The test is the application:
//! it writes the files, and the rows with a connection of its own.

mod audio;
mod audio_document;
mod audio_field;
mod audio_module;
mod audio_settings;
mod database;
mod document;
mod documents;
mod eemt;
mod eemt_document;
mod eemt_kinds;
mod eemt_log;
mod eemt_outages;
mod eemt_scripts;
mod eemt_settings;
mod figures;
mod hostile;
mod math2visual;
mod math2visual_document;
mod omr;
mod omr_document;
mod omr_start;
mod site;
mod storage;
mod storage_around;
mod storage_document;
mod storage_field;
mod storage_settings;
mod tree;
