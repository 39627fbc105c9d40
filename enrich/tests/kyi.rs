//! Know Your IP's files: configurations of both generations, columns, lists, texts, and the tables that are made.
#![allow(clippy::unwrap_used, reason = "tests")]

mod kyi {
    mod config;
    mod shape;
    mod text;
}
