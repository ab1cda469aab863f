//! Commands out of text: the shell's grammar by recursive descent.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::ast::*;
use crate::lexer::{Parsed, Parser, ends_word};

/// Words that mean something where a command begins and never begin a simple command.
const CLOSING: [&str; 8] = ["then", "elif", "else", "fi", "do", "done", "esac", "}"];

/// Every reserved word, for `type` and completion.
pub const RESERVED: [&str; 16] =
    ["if", "then", "elif", "else", "fi", "while", "until", "for", "in", "do", "done", "case", "esac", "{", "}", "!"];

impl Parser {
    /// Reads the commands up to the end of the line they end on; `None` at the end of all text.
    pub fn next_line_of_commands(&mut self) -> Parsed<Option<List>> {
        loop {
            self.skip_blanks();
            if self.peek() != Some('\n') {
                break;
            }
            self.bump();
        }
        if self.peek().is_none() {
            return Ok(None);
        }
        let mut list = List::default();
        loop {
            self.skip_blanks();
            match self.peek() {
                None => break,
                Some('\n') => {
                    self.bump();
                    break;
                }
                Some(_) => self.item(&mut list)?,
            }
        }
        Ok(Some(list))
    }

    /// Reads all text as one list.
    pub fn whole_list(&mut self) -> Parsed<List> {
        let list = self.list_until(&[])?;
        match self.peek() {
            None => Ok(list),
            Some(_) => self.unexpected(),
        }
    }

    /// Reads commands until one of `ends`, which stays unread, or the end of the text.
    pub(crate) fn list_until(&mut self, ends: &[&str]) -> Parsed<List> {
        let mut list = List::default();
        loop {
            self.skip_newlines();
            if self.peek().is_none() || self.at_any(ends) {
                return Ok(list);
            }
            self.item(&mut list)?;
        }
    }

    /// A list between keywords: not empty, and behind it one of `ends`.
    fn body(&mut self, opened_by: &str, ends: &[&str]) -> Parsed<List> {
        let list = self.nested(|parser| parser.list_until(ends))?;
        if self.peek().is_none() {
            return self.incomplete(format!("unexpected end of file: '{opened_by}' wants '{}'", ends[ends.len() - 1]));
        }
        if list.items.is_empty() { self.unexpected() } else { Ok(list) }
    }

    /// Reads one pipeline chain with its separator into `list`.
    fn item(&mut self, list: &mut List) -> Parsed<()> {
        let and_or = self.and_or()?;
        self.skip_blanks();
        let background = self.peek() == Some('&') && self.peek_at(1) != Some('&');
        if background || (self.peek() == Some(';') && self.peek_at(1) != Some(';')) {
            self.bump();
        } else if self.peek().is_some_and(|c| c != '\n' && c != ')' && c != ';') {
            return self.unexpected();
        }
        list.items.push(Item { and_or, background });
        Ok(())
    }

    fn and_or(&mut self) -> Parsed<AndOr> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.skip_blanks();
            let connector = if self.take("&&") {
                Connector::And
            } else if self.take("||") {
                Connector::Or
            } else {
                return Ok(AndOr { first, rest });
            };
            self.skip_newlines();
            rest.push((connector, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut negated = false;
        self.skip_blanks();
        while self.take_keyword("!") {
            negated = !negated;
            self.skip_blanks();
        }
        let mut commands = alloc::vec![self.command()?];
        loop {
            self.skip_blanks();
            if self.peek() != Some('|') || self.peek_at(1) == Some('|') {
                return Ok(Pipeline { negated, commands });
            }
            self.bump();
            self.skip_newlines();
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        self.nested(|parser| {
            parser.skip_blanks();
            parser.expand_alias();
            match parser.compound()? {
                Some(compound) => {
                    let mut redirects = Vec::new();
                    loop {
                        parser.skip_blanks();
                        if !parser.redirect(&mut redirects)? {
                            return Ok(Command::Compound(compound, redirects));
                        }
                    }
                }
                None => parser.simple(),
            }
        })
    }

    fn compound(&mut self) -> Parsed<Option<Compound>> {
        if self.peek() == Some('(') {
            self.bump();
            let list = self.body("(", &[")"])?;
            self.bump();
            return Ok(Some(Compound::Subshell(list)));
        }
        let Some(keyword) = self.keyword() else { return Ok(None) };
        match keyword.as_str() {
            "{" => {
                self.take_keyword("{");
                let list = self.body("{", &["}"])?;
                self.take_keyword("}");
                Ok(Some(Compound::Brace(list)))
            }
            "if" => self.if_command().map(Some),
            "while" | "until" => {
                self.take_keyword(&keyword);
                let condition = self.body(&keyword, &["do"])?;
                let body = self.do_group(&keyword)?;
                Ok(Some(Compound::Loop { until: keyword == "until", condition, body }))
            }
            "for" => self.for_command().map(Some),
            "case" => self.case_command().map(Some),
            word if CLOSING.contains(&word) => self.unexpected(),
            _ => Ok(None),
        }
    }

    fn if_command(&mut self) -> Parsed<Compound> {
        let mut branches = Vec::new();
        let mut otherwise = None;
        self.take_keyword("if");
        loop {
            let condition = self.body("if", &["then"])?;
            self.take_keyword("then");
            let body = self.body("if", &["elif", "else", "fi"])?;
            branches.push((condition, body));
            if self.take_keyword("elif") {
                continue;
            }
            if self.take_keyword("else") {
                otherwise = Some(self.body("if", &["fi"])?);
            }
            self.take_keyword("fi");
            return Ok(Compound::If { branches, otherwise });
        }
    }

    /// `do … done`
    fn do_group(&mut self, opened_by: &str) -> Parsed<List> {
        self.skip_newlines();
        if !self.take_keyword("do") {
            return self.unexpected_in(opened_by);
        }
        let body = self.body(opened_by, &["done"])?;
        self.take_keyword("done");
        Ok(body)
    }

    fn for_command(&mut self) -> Parsed<Compound> {
        self.take_keyword("for");
        self.skip_blanks();
        let name = match self.word()? {
            Some(word) if word.as_literal().is_some_and(is_name) => word.as_literal().unwrap_or("").to_string(),
            Some(_) => return self.error("'for' wants a variable's name"),
            None => return self.unexpected_in("for"),
        };
        self.skip_newlines();
        let mut words = None;
        if self.take_keyword("in") {
            let mut list = Vec::new();
            loop {
                self.skip_blanks();
                match self.word()? {
                    Some(word) => list.push(word),
                    None => break,
                }
            }
            words = Some(list);
            if !matches!(self.peek(), None | Some('\n' | ';')) {
                return self.unexpected();
            }
        }
        if self.peek() == Some(';') {
            self.bump();
        }
        let body = self.do_group("for")?;
        Ok(Compound::For { name, words, body })
    }

    fn case_command(&mut self) -> Parsed<Compound> {
        self.take_keyword("case");
        self.skip_blanks();
        let Some(word) = self.word()? else { return self.unexpected_in("case") };
        self.skip_newlines();
        if !self.take_keyword("in") {
            return self.unexpected_in("case");
        }
        let mut arms = Vec::new();
        loop {
            self.skip_newlines();
            if self.take_keyword("esac") {
                return Ok(Compound::Case { word, arms });
            }
            self.take("(");
            let mut patterns = Vec::new();
            loop {
                self.skip_blanks();
                let Some(pattern) = self.word()? else { return self.unexpected_in("case") };
                patterns.push(pattern);
                self.skip_blanks();
                if !self.take("|") {
                    break;
                }
            }
            if !self.take(")") {
                return self.unexpected_in("case");
            }
            let body = self.nested(|parser| parser.list_until(&[";;", "esac"]))?;
            arms.push((patterns, body));
            if self.peek().is_none() {
                return self.incomplete("unexpected end of file: 'case' wants 'esac'");
            }
            self.take(";;");
        }
    }

    fn simple(&mut self) -> Parsed<Command> {
        let mut simple = Simple::default();
        loop {
            self.skip_blanks();
            if self.redirect(&mut simple.redirects)? {
                continue;
            }
            if self.peek() == Some('(')
                && simple.words.len() == 1
                && simple.assignments.is_empty()
                && simple.redirects.is_empty()
            {
                return self.function(&simple.words[0]);
            }
            let Some(word) = self.word()? else { break };
            match assignment(&word) {
                Some(assignment) if simple.words.is_empty() => simple.assignments.push(assignment),
                _ => simple.words.push(word),
            }
            self.next_alias();
        }
        if simple == Simple::default() { self.unexpected() } else { Ok(Command::Simple(simple)) }
    }

    fn function(&mut self, word: &Word) -> Parsed<Command> {
        self.bump();
        self.skip_blanks();
        if !self.take(")") {
            return self.unexpected();
        }
        let Some(name) = word.as_literal().filter(|name| is_name(&name.replace('-', "_"))) else {
            return self.error("a function's name consists of letters, digits, '_' and '-'");
        };
        self.skip_newlines();
        let body = self.command()?;
        Ok(Command::Function { name: name.into(), body: Rc::new(body) })
    }

    /// Reads a redirection if one begins here.
    fn redirect(&mut self, redirects: &mut Vec<Redirect>) -> Parsed<bool> {
        if self.looking_at("&>") {
            self.bump();
            self.bump();
            let kind = if self.take(">") { RedirectKind::Append } else { RedirectKind::Write };
            let target = self.redirect_target()?;
            redirects.push(Redirect { fd: 1, kind, target });
            let target = Word { parts: alloc::vec![Part::Literal("1".into())] };
            redirects.push(Redirect { fd: 2, kind: RedirectKind::Duplicate, target });
            return Ok(true);
        }
        let mut digits = 0;
        while digits < 4 && self.peek_at(digits).is_some_and(|c| c.is_ascii_digit()) {
            digits += 1;
        }
        let Some(direction @ ('<' | '>')) = self.peek_at(digits) else { return Ok(false) };
        let mut fd = if direction == '<' { 0 } else { 1 };
        if digits > 0 {
            fd = 0;
            for _ in 0..digits {
                fd = fd * 10 + self.bump().and_then(|c| c.to_digit(10)).unwrap_or(0);
            }
        }
        if fd > 9 {
            return self.error(format!("file descriptor {fd} is beyond 9"));
        }
        if self.take("<<<") {
            if self.take("()") {
                redirects.push(Redirect { fd, kind: RedirectKind::Here, target: Word::default() });
                return Ok(true);
            }
            let target = self.redirect_target()?;
            redirects.push(Redirect { fd, kind: RedirectKind::Here, target });
            return Ok(true);
        }
        if self.take("<<") {
            let strip_tabs = self.take("-");
            let delimiter = self.redirect_target()?;
            let target = self.here_document(&delimiter, strip_tabs)?;
            redirects.push(Redirect { fd, kind: RedirectKind::Here, target });
            return Ok(true);
        }
        let kind = if self.take(">>") {
            RedirectKind::Append
        } else if self.take("<&") || self.take(">&") {
            RedirectKind::Duplicate
        } else if self.take("<>") {
            RedirectKind::ReadWrite
        } else if self.take(">|") || self.take(">") {
            RedirectKind::Write
        } else {
            self.bump();
            RedirectKind::Read
        };
        let target = self.redirect_target()?;
        redirects.push(Redirect { fd, kind, target });
        Ok(true)
    }

    fn redirect_target(&mut self) -> Parsed<Word> {
        self.skip_blanks();
        match self.word()? {
            Some(word) => Ok(word),
            None => self.unexpected(),
        }
    }

    pub(crate) fn skip_newlines(&mut self) {
        self.skip_blanks();
        while self.peek() == Some('\n') {
            self.bump();
            self.skip_blanks();
        }
    }

    /// The unquoted word that stands here, up to the next blank or operator.
    fn keyword(&self) -> Option<String> {
        self.keyword_and_length().map(|(word, _)| word)
    }

    /// The word, and how many characters it takes with the line ends joined in it.
    fn keyword_and_length(&self) -> Option<(String, usize)> {
        let mut word = String::new();
        let mut length = 0;
        while let Some(c) = self.peek_at(length).filter(|c| !ends_word(*c)) {
            if c == '\\' && self.peek_at(length + 1) == Some('\n') {
                length += 2;
                continue;
            }
            if word.len() > 8 || "'\"\\$`".contains(c) {
                return None;
            }
            word.push(c);
            length += 1;
        }
        if word.is_empty() { None } else { Some((word, length)) }
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        match self.keyword_and_length() {
            Some((word, length)) if word == keyword => {
                for _ in 0..length {
                    self.bump();
                }
                true
            }
            _ => false,
        }
    }

    fn at_any(&self, ends: &[&str]) -> bool {
        ends.iter().any(|end| match *end {
            ")" | ";;" => self.looking_at(end),
            _ => self.keyword().is_some_and(|word| word == *end),
        })
    }

    /// Says what stands here and does not belong.
    pub(crate) fn unexpected<T>(&mut self) -> Parsed<T> {
        match self.peek() {
            None => self.incomplete("unexpected end of file"),
            Some('\n') => self.error("unexpected end of line"),
            Some(_) => {
                let operators = [";;", "&&", "||", "<<", ">>", ";", "&", "|", "(", ")", "<", ">"];
                let what = match operators.iter().find(|operator| self.looking_at(operator)) {
                    Some(operator) => operator.to_string(),
                    None => self.chars[self.pos..].iter().take_while(|c| !ends_word(**c)).take(40).collect(),
                };
                self.error(format!("unexpected '{what}'"))
            }
        }
    }

    fn unexpected_in<T>(&mut self, construct: &str) -> Parsed<T> {
        self.unexpected().map_err(|mut error| {
            error.message.push_str(&format!(" in '{construct}'"));
            error
        })
    }

    /// Puts an alias's text in place of the command name here, as often as that begins with another alias.
    fn expand_alias(&mut self) {
        if self.aliases.is_empty() {
            return;
        }
        while let Some(word) = self.alias_word() {
            let left = self.chars.len() - self.pos;
            self.open_aliases.retain(|(_, end)| *end < left);
            let Some(text) = self.aliases.get(&word) else { return };
            if self.open_aliases.iter().any(|(name, _)| *name == word) {
                return;
            }
            let length = word.chars().count();
            let text: Vec<char> = text.chars().collect();
            self.chars.splice(self.pos..self.pos + length, text);
            self.open_aliases.push((word, left - length));
            self.skip_blanks();
        }
    }

    /// Behind an alias whose text ends in a blank, the next word may be an alias too.
    fn next_alias(&mut self) {
        let left = self.chars.len() - self.pos;
        let blank_end = self.open_aliases.iter().any(|(name, end)| {
            *end <= left && left <= *end + 1 && self.aliases.get(name).is_some_and(|text| text.ends_with([' ', '\t']))
        });
        if blank_end {
            self.skip_blanks();
            self.expand_alias();
        }
    }

    fn alias_word(&self) -> Option<String> {
        let mut word = String::new();
        for c in self.chars[self.pos..].iter().copied().take_while(|c| !ends_word(*c)) {
            if "'\"\\$`=".contains(c) {
                return None;
            }
            word.push(c);
        }
        if word.is_empty() { None } else { Some(word) }
    }
}

/// The assignment that `word` is when it stands before a command's name.
pub fn assignment(word: &Word) -> Option<Assignment> {
    let Some(Part::Literal(text)) = word.parts.first() else { return None };
    let (name, start) = text.split_once('=')?;
    if !is_name(name) {
        return None;
    }
    let mut parts = Vec::new();
    if !start.is_empty() {
        parts.push(Part::Literal(start.into()));
    }
    parts.extend_from_slice(&word.parts[1..]);
    Some(Assignment { name: name.into(), value: Word { parts } })
}
