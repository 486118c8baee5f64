//! The query of a target as pairs.

use std::borrow::Cow;

/// A query as sent. Pairs with a bad percent escape or a `;` do not count (reference: http-api §1).
#[derive(Clone, Copy, Debug)]
pub struct Query<'a>(pub &'a str);

impl<'a> Query<'a> {
    /// The first value of a parameter.
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub fn pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.0.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(key)?, decode(value)?))
        })
    }
}

/// Percent escapes and `+`; `None` for a bad escape. Bytes that are no UTF-8 become U+FFFD.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8
            }
            byte => byte,
        });
    }
    Some(Cow::Owned(String::from_utf8_lossy(&plain).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_good_pair_counts() {
        let query = Query("db=a%20b+c&db=x&rp=%zz&rp=y&p;q=1&flag&u=%C3%A9");
        assert_eq!(query.get("db").as_deref(), Some("a b c"));
        assert_eq!(query.get("rp").as_deref(), Some("y"));
        assert_eq!(query.get("p;q"), None);
        assert_eq!(query.get("flag").as_deref(), Some(""));
        assert_eq!(query.get("u").as_deref(), Some("é"));
    }
}
