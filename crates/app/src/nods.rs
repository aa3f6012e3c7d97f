//! The lecture's application: it loads the account, saves its nod, and redirects the browser to `/`.

use std::fmt::Write;
use std::str;

use http1::Reply;
use percent_encoding::percent_decode;

use crate::Shared;
use crate::routes::{bad_request, error};

const FORM: &str = "application/x-www-form-urlencoded";
/// The longest nod, in characters.
const MAX_CHARS: usize = 1_000;
/// The number of nods that `GET /nods` shows.
const SHOWN: u32 = 100;

/// The account that the Cookie fields name (RFC 6265, 4.2.1); the first if there are several.
pub fn account<'a>(mut cookies: impl Iterator<Item = &'a [u8]>) -> Option<&'a str> {
    cookies.find_map(|field| {
        let mut pairs = field.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        pairs.find_map(|pair| str::from_utf8(pair.strip_prefix(b"account=")?).ok())
    })
}

/// `POST /nod`: saves the text of the form's field `nod`. The call blocks while the store does.
pub fn nod(shared: &Shared, account: Option<&str>, content_type: Option<&[u8]>, form: &[u8]) -> Reply {
    available(shared, try_nod(shared, account, content_type, form))
}

/// `GET /nods`: the latest nods, a line for each, newest first. The call blocks while the store does.
pub fn nods(shared: &Shared) -> Reply {
    let listed = shared.store.latest(SHOWN).map(|nods| {
        let mut text = String::new();
        for (account, nod) in nods {
            let _ = writeln!(text, "{account}: {}", escaped(&nod)); // writing to a String does not fail
        }
        Reply { content_type: "text/plain; charset=utf-8", ..Reply::text(text) }
    });
    available(shared, listed)
}

fn try_nod(
    shared: &Shared,
    account: Option<&str>,
    content_type: Option<&[u8]>,
    form: &[u8],
) -> rusqlite::Result<Reply> {
    if !is_form(content_type.unwrap_or_default()) {
        return Ok(error(415, &format!("expected the Content-Type {FORM}")));
    }
    let account = match account {
        Some(account) if shared.store.has_account(account)? => account,
        _ => return Ok(unauthorized()),
    };
    Ok(match text(form) {
        Ok(text) => {
            shared.store.save(account, &text)?;
            Reply { status: 303, content_type: "", ..Reply::text("") }.with("Location", "/")
        }
        Err(why) => bad_request(&why),
    })
}

/// The nod of a form, or the reason why there is none.
fn text(form: &[u8]) -> Result<String, String> {
    // The separators of the fields are ASCII, so the form is UTF-8 if and only if each field is.
    if percent_decode(form).decode_utf8().is_err() {
        return Err("the form is not UTF-8".into());
    }
    let nod = form_urlencoded::parse(form).find(|(name, _)| name == "nod").map(|(_, text)| text.into_owned());
    let nod = nod.filter(|text| !text.is_empty()).ok_or("expected a field nod=<text>, not empty")?;
    match nod.chars().count() {
        ..=MAX_CHARS => Ok(nod),
        length => Err(format!("a nod has at most {MAX_CHARS} characters, and this one has {length}")),
    }
}

/// Is it the media type of a form? Its parameters mean nothing: a form is UTF-8 by definition (WHATWG URL, 5.1).
fn is_form(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&b| b == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(FORM.as_bytes())
}

/// The reply 401, which must name a way to be authorized (RFC 9110, 11.6.1).
fn unauthorized() -> Reply {
    let reply = error(401, "expected the cookie account=<name> of an account, such as alice");
    reply.with("WWW-Authenticate", "Cookie realm=\"nods\"")
}

/// A nod's text without control characters, so that it takes one line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
        }
    }
    escaped
}

/// The reply, or 503 if the store has failed.
fn available(shared: &Shared, reply: rusqlite::Result<Reply>) -> Reply {
    shared.store.note_outcome(&reply);
    reply.unwrap_or_else(|_| error(503, "the nods' store does not answer; try again later"))
}
