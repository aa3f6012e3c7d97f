//! The sentences of the lecture, a file each. The board has them in this order.

mod blocking_call;
mod callback;
mod cpu_idle;
mod framework;
mod linux_aio;
mod long_callback;
mod multiplexing;
mod one_thread;
mod pool_cap;
mod process_pool;
mod process_resources;
mod process_start;
mod races;
mod select_poll;
mod something_else;
mod ten_thousand;
mod thread_lighter;
mod thread_piles_up;

use super::sentence::Sentence;

/// All sentences. Their number decides how wide the intervals are: see [`results::claims::judge`].
pub const SENTENCES: &[&Sentence] = &[
    &process_start::SENTENCE,
    &process_pool::SENTENCE,
    &ten_thousand::SENTENCE,
    &process_resources::SENTENCE,
    &thread_lighter::SENTENCE,
    &thread_piles_up::SENTENCE,
    &races::SENTENCE,
    &multiplexing::SENTENCE,
    &select_poll::SENTENCE,
    &linux_aio::SENTENCE,
    &cpu_idle::SENTENCE,
    &something_else::SENTENCE,
    &callback::SENTENCE,
    &long_callback::SENTENCE,
    &pool_cap::SENTENCE,
    &blocking_call::SENTENCE,
    &one_thread::SENTENCE,
    &framework::SENTENCE,
];
