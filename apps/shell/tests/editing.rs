//! Keys typed at the line editor, and what comes of them.

use motte_shell::editor::{Completion, Editor, Event, Helper};

struct Fake {
    history: Vec<String>,
    names: Vec<&'static str>,
}

impl Helper for Fake {
    fn history(&self) -> &[String] {
        &self.history
    }

    fn complete(&mut self, before: &str) -> Completion {
        let start = before.rfind(' ').map_or(0, |at| at + 1);
        let found = self.names.iter().filter(|name| name.starts_with(&before[start..]));
        Completion { start, candidates: found.map(|name| (name.to_string(), name.to_string())).collect() }
    }
}

fn fake() -> Fake {
    Fake {
        history: ["first line", "second line", "grep x file"].map(String::from).to_vec(),
        names: vec!["alpha", "alphabet", "beta", "dir/", "gamma"],
    }
}

/// What the line is after `keys`, with a `|` at the cursor.
fn typed(keys: &str) -> String {
    let mut helper = fake();
    let mut out = Vec::new();
    let mut editor = Editor::new("$ ", 80, &helper, &mut out);
    for byte in keys.bytes() {
        assert_eq!(editor.feed(byte, &mut helper, &mut out), Event::Editing, "{keys:?}");
    }
    // A mark typed where the cursor is shows it.
    editor.feed(b'|', &mut helper, &mut out);
    editor.text()
}

#[test]
fn emacs_keys_edit_the_line() {
    for (keys, line) in [
        ("abc", "abc|"),
        ("abc\x01", "|abc"),
        ("abc\x01\x06", "a|bc"),
        ("abc\x02\x02", "a|bc"),
        ("abc\x01\x05", "abc|"),
        ("abc\x1b[D\x1b[D\x1b[C", "ab|c"),
        ("abc\x1b[H\x1b[3~", "|bc"),
        ("abc\x1b[1~x\x1b[4~y", "xabcy|"),
        ("abc\x7f\x7f", "a|"),
        ("abc\x02\x04", "ab|"),
        ("ab cd ef\x17", "ab cd |"),
        ("ab cd\x1bbx", "ab x|cd"),
        ("ab cd\x01\x1bfx", "abx| cd"),
        ("ab cd\x01\x1bd", "| cd"),
        ("ab cd\x1b[1;5Dx", "ab x|cd"),
        ("ab/cd\x1b\x7f", "ab/|"),
        ("abcdef\x02\x02\x0b", "abcd|"),
        ("abcdef\x02\x02\x15", "|ef"),
        ("abc\x15\x19\x19", "abcabc|"),
        ("ab\x14", "ba|"),
        ("äöü\x02\x7f", "ä|ü"),
        ("\x7f\x02\x06x", "x|"),
        ("日本\x02x", "日x|本"),
        ("\x1b[99;99Zx\x1bqy", "xy|"),
    ] {
        assert_eq!(typed(keys), line, "{keys:?}");
    }
}

#[test]
fn arrows_walk_through_history_and_back_to_the_new_line() {
    assert_eq!(typed("\x1b[A"), "grep x file|");
    assert_eq!(typed("\x1b[A\x1b[A"), "second line|");
    assert_eq!(typed("\x1b[A\x1b[A\x1b[A\x1b[A"), "first line|");
    assert_eq!(typed("new\x10\x10\x0e\x0e"), "new|");
    assert_eq!(typed("\x1b[B"), "|");
}

#[test]
fn ctrl_r_searches_backwards() {
    assert_eq!(typed("\x12line\x05"), "second line|");
    assert_eq!(typed("\x12line\x12\x05"), "first line|");
    assert_eq!(typed("old\x12line\x07"), "old|");
    assert_eq!(typed("\x12gr\x1b[C"), "g|rep x file");
    assert_eq!(typed("\x12zq\x05"), "|");
    assert_eq!(typed("\x12linex\x7f\x05"), "second line|");
}

#[test]
fn tab_completes_as_far_as_it_is_certain() {
    assert_eq!(typed("b\t"), "beta |");
    assert_eq!(typed("al\t"), "alpha|");
    assert_eq!(typed("alphab\t"), "alphabet |");
    assert_eq!(typed("d\t"), "dir/|");
    assert_eq!(typed("x ga\t"), "x gamma |");
    assert_eq!(typed("nothing\t"), "nothing|");
}

#[test]
fn a_second_tab_lists_what_is_possible() {
    let mut helper = fake();
    let mut out = Vec::new();
    let mut editor = Editor::new("$ ", 80, &helper, &mut out);
    for byte in *b"al\t\t" {
        editor.feed(byte, &mut helper, &mut out);
    }
    let shown = String::from_utf8_lossy(&out);
    assert!(shown.contains("alpha     alphabet"), "{shown:?}");
    assert!(shown.ends_with("\r\n\r\x1b[J$ alpha"), "{shown:?}");
}

#[test]
fn enter_ctrl_c_and_ctrl_d_end_the_line() {
    let end = |keys: &str| {
        let mut helper = fake();
        let mut out = Vec::new();
        let mut editor = Editor::new("$ ", 80, &helper, &mut out);
        let mut last = Event::Editing;
        for byte in keys.bytes() {
            last = editor.feed(byte, &mut helper, &mut out);
        }
        last
    };
    assert_eq!(end("ls -l\r"), Event::Line("ls -l".into()));
    assert_eq!(end("ls\x01\n"), Event::Line("ls".into()));
    assert_eq!(end("ls\x03"), Event::Interrupt);
    assert_eq!(end("\x04"), Event::End);
    assert_eq!(end("x\x04"), Event::Editing);
    assert_eq!(end("\x12sec\r"), Event::Line("second line".into()));
}

/// What a terminal of `columns` shows, and where its cursor is.
fn screen(output: &[u8], columns: usize) -> (Vec<String>, (usize, usize)) {
    let mut rows: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let text = String::from_utf8(output.to_vec()).expect("the editor writes UTF-8");
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x07' => {}
            '\x1b' => {
                let rest: String = chars.by_ref().skip(1).take_while_inclusive_letter();
                let (digits, letter) = rest.split_at(rest.len() - 1);
                let count = digits.parse().unwrap_or(1);
                match letter {
                    "A" => row -= count,
                    "C" => column += count,
                    "J" => {
                        rows.truncate(row + 1);
                        rows[row].truncate(column);
                    }
                    "K" => rows[row].truncate(column),
                    other => panic!("the terminal knows no {other}"),
                }
            }
            c => {
                if column == columns {
                    row += 1;
                    column = 0;
                }
                while rows.len() <= row {
                    rows.push(Vec::new());
                }
                while rows[row].len() <= column {
                    rows[row].push(' ');
                }
                rows[row][column] = c;
                column += 1;
            }
        }
        while rows.len() <= row {
            rows.push(Vec::new());
        }
    }
    (rows.into_iter().map(|row| row.into_iter().collect::<String>().trim_end().to_string()).collect(), (row, column))
}

trait TakeLetter {
    fn take_while_inclusive_letter(self) -> String;
}

impl<I: Iterator<Item = char>> TakeLetter for I {
    fn take_while_inclusive_letter(self) -> String {
        let mut text = String::new();
        for c in self {
            text.push(c);
            if c.is_ascii_alphabetic() {
                break;
            }
        }
        text
    }
}

#[test]
fn lines_longer_than_the_terminal_wrap() {
    let mut helper = fake();
    let mut out = Vec::new();
    let mut editor = Editor::new("$ ", 10, &helper, &mut out);
    for byte in *b"0123456789abcdefghij" {
        editor.feed(byte, &mut helper, &mut out);
    }
    assert_eq!(screen(&out, 10), (vec!["$ 01234567".into(), "89abcdefgh".into(), "ij".into()], (2, 2)));
    for byte in *b"\x01X" {
        editor.feed(byte, &mut helper, &mut out);
    }
    assert_eq!(screen(&out, 10), (vec!["$ X0123456".into(), "789abcdefg".into(), "hij".into()], (0, 3)));
    for byte in *b"\x0b" {
        editor.feed(byte, &mut helper, &mut out);
    }
    let (rows, cursor) = screen(&out, 10);
    assert_eq!((rows[0].as_str(), cursor), ("$ X", (0, 3)));
}

#[test]
fn a_line_that_fills_the_row_puts_the_cursor_below() {
    let mut helper = fake();
    let mut out = Vec::new();
    let mut editor = Editor::new("$ ", 10, &helper, &mut out);
    for byte in *b"01234567" {
        editor.feed(byte, &mut helper, &mut out);
    }
    let (rows, cursor) = screen(&out, 10);
    assert_eq!((rows[0].as_str(), cursor), ("$ 01234567", (1, 0)));
}

#[test]
fn colours_in_the_prompt_take_no_room() {
    let helper = fake();
    let mut out = Vec::new();
    let mut editor = Editor::new("\x1b[32mhi\x1b[0m$ ", 80, &helper, &mut out);
    for byte in *b"x\x01" {
        editor.feed(byte, &mut fake(), &mut out);
    }
    assert!(out.ends_with(b"x\r\x1b[4C"));
}
