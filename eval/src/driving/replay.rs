//! Replays for the page.
