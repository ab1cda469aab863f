//! Writing JSON (RFC 8259).

use alloc::string::String;
use core::fmt::Write;

/// A text that grows by members of objects and arrays; commas come by themselves.
#[derive(Debug, Default)]
pub struct Json {
    text: String,
}

impl Json {
    fn comma(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.text.push(',');
        }
    }

    /// Text between quotes.
    pub fn string(&mut self, text: &str) {
        self.comma();
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => {
                    self.text.push('\\');
                    self.text.push(character);
                }
                '\n' => self.text.push_str("\\n"),
                '\t' => self.text.push_str("\\t"),
                control if control < ' ' => {
                    let _ = write!(self.text, "\\u{:04x}", control as u32);
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    /// The name of a member; its value follows.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.text.push(':');
        self
    }

    /// A whole number.
    pub fn number(&mut self, number: u64) {
        self.comma();
        let _ = write!(self.text, "{number}");
    }

    /// So many thousandths.
    pub fn thousandths(&mut self, number: u64) {
        self.comma();
        let _ = write!(self.text, "{}.{:03}", number / 1000, number % 1000);
    }

    /// An object with the members that `put` writes.
    pub fn object(&mut self, put: impl FnOnce(&mut Self)) {
        self.comma();
        self.text.push('{');
        put(self);
        self.text.push('}');
    }

    /// An array of what `put` writes for each item.
    pub fn array<T>(&mut self, items: impl IntoIterator<Item = T>, mut put: impl FnMut(&mut Self, T)) {
        self.comma();
        self.text.push('[');
        items.into_iter().for_each(|item| put(self, item));
        self.text.push(']');
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_a_parser_reads() {
        let mut json = Json::default();
        json.object(|json| {
            json.name("a").string("\"\\\n\t\u{1}é\u{1F600}");
            json.name("b").array([1, 2], Json::number);
            json.name("c").array([(); 0], |_, ()| {});
            json.name("d").object(|json| json.name("x").thousandths(1002));
            json.name("e").string("");
        });
        let value: serde_json::Value = serde_json::from_str(&json.into_text()).unwrap();
        let expected = serde_json::json!(
            { "a": "\"\\\n\t\u{1}é\u{1F600}", "b": [1, 2], "c": [], "d": { "x": 1.002 }, "e": "" }
        );
        assert_eq!(value, expected);
    }
}
