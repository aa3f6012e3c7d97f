//! Hints for words of a command line that another program of the lab would understand.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Adds to clap's error about a word that it does not know what the user may have meant, if `hint` knows that.
pub fn with_hint(mut error: Error, hint: impl Fn(&str) -> Option<String>) -> Error {
    let place = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => return error,
    };
    if let Some(ContextValue::String(word)) = error.get(place)
        && let Some(hint) = hint(word)
    {
        for guess in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::Usage] {
            error.remove(guess);
        }
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
    }
    error
}
