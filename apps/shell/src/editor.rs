//! The line editor: keys in, terminal output and finished lines out. It does no input or output itself.
//!
//! The crates for this without `std` were looked at: noline has neither completion nor searching, and
//! nothing maintained has; so this one is our own, with `unicode-width` for the columns.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use unicode_width::UnicodeWidthChar;

use crate::keys::{Key, Keys};

/// What completion proposes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// Where the completed word begins, counted in characters.
    pub start: usize,
    /// What may stand there: the text to insert, and how to show it in a list.
    pub candidates: Vec<(String, String)>,
}

/// What the editor asks of the shell around it.
pub trait Helper {
    /// Earlier lines, oldest first.
    fn history(&self) -> &[String];
    /// What may follow the text before the cursor.
    fn complete(&mut self, before: &str) -> Completion;
}

/// What a key led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The line goes on.
    Editing,
    /// Enter.
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D on an empty line.
    End,
}

/// A search backwards through history.
struct Search {
    query: String,
    /// The line shown, as an index into history.
    found: Option<usize>,
    /// What stood in the line before.
    before: Vec<char>,
}

/// A line being edited.
pub struct Editor {
    prompt: String,
    columns: usize,
    line: Vec<char>,
    cursor: usize,
    /// The cursor's row, counted from the prompt's.
    row: usize,
    /// What Ctrl-K and its kin took, for Ctrl-Y.
    killed: Vec<char>,
    /// The history line shown; its length while the new line is.
    position: usize,
    /// The new line, while an old one is shown.
    draft: Vec<char>,
    search: Option<Search>,
    last_was_tab: bool,
    keys: Keys,
}

impl Editor {
    /// Begins a line; `out` gets the prompt.
    pub fn new(prompt: &str, columns: usize, helper: &dyn Helper, out: &mut Vec<u8>) -> Editor {
        let (above, prompt) = match prompt.rfind('\n') {
            Some(index) => prompt.split_at(index + 1),
            None => ("", prompt),
        };
        out.extend_from_slice(above.replace('\n', "\r\n").as_bytes());
        let mut editor = Editor {
            prompt: prompt.into(),
            columns: columns.max(8),
            line: Vec::new(),
            cursor: 0,
            row: 0,
            killed: Vec::new(),
            position: helper.history().len(),
            draft: Vec::new(),
            search: None,
            last_was_tab: false,
            keys: Keys::default(),
        };
        editor.draw(out);
        editor
    }

    /// The line so far.
    pub fn text(&self) -> String {
        self.line.iter().collect()
    }

    /// Takes one byte from the terminal.
    pub fn feed(&mut self, byte: u8, helper: &mut dyn Helper, out: &mut Vec<u8>) -> Event {
        match self.keys.feed(byte) {
            Some(key) => self.key(key, helper, out),
            None => Event::Editing,
        }
    }

    fn key(&mut self, key: Key, helper: &mut dyn Helper, out: &mut Vec<u8>) -> Event {
        let was_tab = core::mem::replace(&mut self.last_was_tab, key == Key::Tab);
        if self.search.is_some() && self.search_key(key, helper, out) {
            return Event::Editing;
        }
        let length = self.line.len();
        match key {
            Key::Enter => {
                self.go_to_end(out);
                out.extend_from_slice(b"\r\n");
                return Event::Line(self.text());
            }
            Key::Ctrl('c') => {
                self.go_to_end(out);
                out.extend_from_slice(b"^C\r\n");
                return Event::Interrupt;
            }
            Key::Ctrl('d') if length == 0 => {
                out.extend_from_slice(b"\r\n");
                return Event::End;
            }
            Key::Char(c) => {
                self.line.insert(self.cursor, c);
                self.cursor += 1;
                let width = self.width_to(length + 1);
                if self.cursor == self.line.len() && c.width() == Some(1) && width < self.columns {
                    // The common case needs no drawing anew.
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    return Event::Editing;
                }
            }
            Key::Backspace | Key::Ctrl('h') => {
                if self.cursor > 0 {
                    self.cursor -= 1;
                    self.line.remove(self.cursor);
                }
            }
            Key::Delete | Key::Ctrl('d') => {
                if self.cursor < length {
                    self.line.remove(self.cursor);
                }
            }
            Key::Left | Key::Ctrl('b') => self.cursor = self.cursor.saturating_sub(1),
            Key::Right | Key::Ctrl('f') => self.cursor = (self.cursor + 1).min(length),
            Key::Home | Key::Ctrl('a') => self.cursor = 0,
            Key::End | Key::Ctrl('e') => self.cursor = length,
            Key::WordLeft | Key::Alt('b') => self.cursor = self.word_left(|c| c.is_alphanumeric()),
            Key::WordRight | Key::Alt('f') => self.cursor = self.word_right(),
            Key::Up | Key::Ctrl('p') => self.walk(-1, helper),
            Key::Down | Key::Ctrl('n') => self.walk(1, helper),
            Key::Ctrl('k') => self.kill(self.cursor, length),
            Key::Ctrl('u') => self.kill(0, self.cursor),
            Key::Ctrl('w') => self.kill(self.word_left(|c| !c.is_whitespace()), self.cursor),
            Key::Alt('\u{8}') => self.kill(self.word_left(|c| c.is_alphanumeric()), self.cursor),
            Key::Alt('d') => self.kill(self.cursor, self.word_right()),
            Key::Ctrl('y') => {
                let killed = self.killed.clone();
                self.insert(&killed);
            }
            Key::Ctrl('t') => {
                if self.cursor > 0 && length > 1 {
                    self.cursor = self.cursor.min(length - 1);
                    self.line.swap(self.cursor - 1, self.cursor);
                    self.cursor += 1;
                }
            }
            Key::Ctrl('l') => {
                out.extend_from_slice(b"\x1b[H\x1b[2J");
                self.row = 0;
            }
            Key::Ctrl('r') => {
                let before = self.line.clone();
                self.search = Some(Search { query: String::new(), found: None, before });
            }
            Key::Tab => self.complete(was_tab, helper, out),
            _ => return Event::Editing,
        }
        self.refresh(out);
        Event::Editing
    }

    fn insert(&mut self, text: &[char]) {
        self.line.splice(self.cursor..self.cursor, text.iter().copied());
        self.cursor += text.len();
    }

    fn kill(&mut self, from: usize, to: usize) {
        if from < to {
            self.killed = self.line.drain(from..to).collect();
            self.cursor = from;
        }
    }

    fn word_left(&self, belongs: fn(char) -> bool) -> usize {
        let mut at = self.cursor;
        while at > 0 && !belongs(self.line[at - 1]) {
            at -= 1;
        }
        while at > 0 && belongs(self.line[at - 1]) {
            at -= 1;
        }
        at
    }

    fn word_right(&self) -> usize {
        let mut at = self.cursor;
        while at < self.line.len() && !self.line[at].is_alphanumeric() {
            at += 1;
        }
        while at < self.line.len() && self.line[at].is_alphanumeric() {
            at += 1;
        }
        at
    }

    /// Goes through history by one line.
    fn walk(&mut self, step: isize, helper: &dyn Helper) {
        let history = helper.history();
        let Some(target) = self.position.checked_add_signed(step).filter(|index| *index <= history.len()) else {
            return;
        };
        if self.position >= history.len() {
            self.draft = self.line.clone();
        }
        self.line = match history.get(target) {
            Some(text) => text.chars().collect(),
            None => core::mem::take(&mut self.draft),
        };
        self.position = target;
        self.cursor = self.line.len();
    }

    /// Takes a key while searching; false when the search is over and the key means what it always does.
    fn search_key(&mut self, key: Key, helper: &dyn Helper, out: &mut Vec<u8>) -> bool {
        let Some(search) = &mut self.search else { return false };
        let history = helper.history();
        let mut below = search.found.map_or(history.len(), |index| index + 1);
        match key {
            Key::Char(c) => search.query.push(c),
            Key::Backspace => {
                search.query.pop();
                below = history.len();
            }
            Key::Ctrl('r') => below = search.found.unwrap_or(history.len()),
            Key::Ctrl('g' | 'c') => {
                self.line = core::mem::take(&mut search.before);
                self.cursor = self.line.len();
                self.search = None;
                self.refresh(out);
                return true;
            }
            _ => {
                self.search = None;
                self.refresh(out);
                return false;
            }
        }
        let found = (0..below.min(history.len())).rev().find(|index| history[*index].contains(&search.query));
        if let Some(index) = found
            && !search.query.is_empty()
        {
            search.found = Some(index);
            self.line = history[index].chars().collect();
            self.position = index;
            let at = history[index].find(&search.query).unwrap_or(0);
            self.cursor = history[index][..at].chars().count();
        }
        self.refresh(out);
        true
    }

    fn complete(&mut self, again: bool, helper: &mut dyn Helper, out: &mut Vec<u8>) {
        let before: String = self.line[..self.cursor].iter().collect();
        let completion = helper.complete(&before);
        let start = completion.start.min(self.cursor);
        let Some((first, _)) = completion.candidates.first() else {
            out.push(7);
            return;
        };
        let mut common: Vec<char> = first.chars().collect();
        for (text, _) in &completion.candidates[1..] {
            let same = common.iter().zip(text.chars()).take_while(|(a, b)| **a == *b).count();
            common.truncate(same);
        }
        let typed = self.cursor - start;
        let only = completion.candidates.len() == 1;
        if only || common.len() > typed {
            if only && !common.ends_with(&['/']) && self.line.get(self.cursor) != Some(&' ') {
                common.push(' ');
            }
            self.line.splice(start..self.cursor, common.iter().copied());
            self.cursor = start + common.len();
        } else if again {
            self.list(&completion, out);
        } else {
            out.push(7);
        }
    }

    /// Shows all candidates below the line.
    fn list(&mut self, completion: &Completion, out: &mut Vec<u8>) {
        let cursor = core::mem::replace(&mut self.cursor, self.line.len());
        self.refresh(out);
        self.cursor = cursor;
        let width = completion.candidates.iter().map(|(_, shown)| width(shown)).max().unwrap_or(0) + 2;
        let per_row = (self.columns / width).max(1);
        for (index, (_, shown)) in completion.candidates.iter().enumerate() {
            if index % per_row == 0 {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(shown.as_bytes());
            let fill = width - self::width(shown);
            out.resize(out.len() + fill, b' ');
        }
        out.extend_from_slice(b"\r\n");
        self.row = 0;
    }

    fn shown_prompt(&self) -> String {
        match &self.search {
            Some(search) => format!("(search '{}'): ", search.query),
            None => self.prompt.clone(),
        }
    }

    /// Columns from the prompt's beginning to a character of the line.
    fn width_to(&self, index: usize) -> usize {
        let line: usize = self.line[..index].iter().map(|c| char_width(*c)).sum();
        width(&self.shown_prompt()) + line
    }

    /// Draws prompt and line anew and puts the cursor in its place.
    fn refresh(&mut self, out: &mut Vec<u8>) {
        if self.row > 0 {
            out.extend_from_slice(format!("\x1b[{}A", self.row).as_bytes());
        }
        out.extend_from_slice(b"\r\x1b[J");
        self.draw(out);
    }

    /// Before the line is left behind, so that what follows stands below it.
    fn go_to_end(&mut self, out: &mut Vec<u8>) {
        if self.cursor < self.line.len() {
            self.cursor = self.line.len();
            self.refresh(out);
        }
    }

    /// Draws from the prompt's place on.
    fn draw(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.shown_prompt().as_bytes());
        for c in &self.line {
            if c.is_control() {
                out.extend_from_slice(format!("^{}", ((*c as u8) ^ 0x40) as char).as_bytes());
            } else {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        let end = self.width_to(self.line.len());
        if end > 0 && end.is_multiple_of(self.columns) {
            // The terminal waits at the right edge; make it go on.
            out.extend_from_slice(b" \r\x1b[K");
        }
        let at = self.width_to(self.cursor);
        self.row = at / self.columns;
        if at == end {
            return;
        }
        let up = end / self.columns - at / self.columns;
        if up > 0 {
            out.extend_from_slice(format!("\x1b[{up}A").as_bytes());
        }
        out.push(b'\r');
        let column = at % self.columns;
        if column > 0 {
            out.extend_from_slice(format!("\x1b[{column}C").as_bytes());
        }
    }
}

fn char_width(c: char) -> usize {
    if c.is_control() { 2 } else { c.width().unwrap_or(0) }
}

/// Columns that a text takes, colour sequences apart.
fn width(text: &str) -> usize {
    let mut columns = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.by_ref().find(|c| c.is_ascii_alphabetic());
        } else {
            columns += char_width(c);
        }
    }
    columns
}
