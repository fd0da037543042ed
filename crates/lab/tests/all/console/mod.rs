//! The console in a real browser: a small made-up past, a running honeypot, clicks. Nothing that an attacker typed runs,
//! nothing is asked for from anywhere else, and no page complains.

mod hostile;
mod journey;
mod lists;
mod look;
mod rig;
mod views;
