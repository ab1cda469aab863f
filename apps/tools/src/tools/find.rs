//! find.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;

use regex::bytes::Regex;

use super::Tool;
use super::owners::{mode_text, type_letter};
use super::permissions::change;
use super::xargs::run_and_wait;
use crate::args;
use crate::calendar::{now, strftime};
use crate::context::{Context, Failure, Outcome, describe};
use crate::paths::{basename, dirname, join};
use crate::pattern;
use crate::context::put;
use crate::sys::fs::{self, Metadata};
use crate::text::{Unescaped, unescape};

pub const FIND: Tool = Tool {
    name: "find",
    about: "find files below directories",
    help: "Usage: find [PATH]... [EXPRESSION]
Walks through directories (.) and does for each file what the expression says; without an action prints its path.
Tests:   -name GLOB  -iname GLOB  -path GLOB  -ipath GLOB  -regex EXPRESSION  -type f|d|l|c|b|p|s
         -size [+-]N[cwbkMG]  -empty  -newer FILE  -mtime [+-]DAYS  -mmin [+-]MINUTES  -atime  -ctime
         -perm [-/]MODE  -links [+-]N  -inum N  -samefile FILE  -uid N  -gid N  -true  -false
Actions: -print  -print0  -printf FORMAT  -ls  -delete  -prune  -quit  -exec COMMAND {} \\;  -exec COMMAND {} +
Options: -maxdepth N  -mindepth N  -depth  -xdev  -L (follow links)
Joined:  A B, A -o B, ! A, ( A )
Example: find /srv -name '*.html' -size +4k",
    run: find,
};

/// A number with + (more) or - (less) in front.
#[derive(Clone, Copy)]
struct Bound {
    order: Ordering,
    value: i64,
}

impl Bound {
    fn parse(text: &str) -> Option<Bound> {
        let (order, digits) = match text.as_bytes().first()? {
            b'+' => (Ordering::Greater, &text[1..]),
            b'-' => (Ordering::Less, &text[1..]),
            _ => (Ordering::Equal, text),
        };
        Some(Bound { order, value: digits.parse().ok()? })
    }

    fn fits(self, value: i64) -> bool {
        value.cmp(&self.value) == self.order
    }
}

enum Time {
    Accessed,
    Changed,
    Modified,
}

enum Permission {
    Exactly(u32),
    All(u32),
    Any(u32),
}

enum Node {
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Always(bool),
    Name(Regex),
    Path(Regex),
    Type(Vec<char>),
    Size(Bound, u64),
    Empty,
    Newer(i64),
    Age(Time, Bound, i64),
    Mode(Permission),
    Links(Bound),
    Inode(Bound),
    SameFile(u64, u64),
    Uid(Bound),
    Gid(Bound),
    Print(u8),
    Format(String),
    List,
    Delete,
    Prune,
    Quit,
    Run(Vec<String>),
    Collect(usize),
}

#[derive(Default)]
struct Plan {
    minimum: usize,
    maximum: Option<usize>,
    contents_first: bool,
    one_system: bool,
    follow: bool,
    acts: bool,
    /// Commands of `-exec … +`, and the paths collected for each.
    collected: Vec<(Vec<String>, Vec<String>)>,
}

/// Reads the expression: alternatives of sequences of tests.
struct Parser<'a> {
    words: &'a [String],
    at: usize,
    plan: Plan,
}

fn find(context: &mut Context, args: &[String]) -> Outcome {
    if args.first().is_some_and(|first| first == "--help" || first == "-help") {
        return Err(args::help(context));
    }
    let mut rest = args;
    let mut plan = Plan::default();
    while let Some((option, others)) = rest.split_first() {
        match option.as_str() {
            "-L" => plan.follow = true,
            "-P" | "-H" => plan.follow = false,
            _ => break,
        }
        rest = others;
    }
    let begins = |word: &String| (word.starts_with('-') && word.len() > 1) || word == "(" || word == "!";
    let count = rest.iter().position(begins).unwrap_or(rest.len());
    let (paths, words) = rest.split_at(count);
    let mut parser = Parser { words, at: 0, plan };
    let mut expression = Node::Always(true);
    if !words.is_empty() {
        expression = parser.alternatives().map_err(|reason| Failure::new(1, reason))?;
        if parser.at < words.len() {
            return Err(Failure::new(1, format_args!("'{}' is not expected here", words[parser.at])));
        }
    }
    let mut plan = parser.plan;
    if !plan.acts {
        expression = Node::And(Box::new(expression), Box::new(Node::Print(b'\n')));
    }
    let here = [".".to_string()];
    let mut walker = Walker { expression, pruned: false, stopped: false, start: String::new(), now: now().0 };
    for path in if paths.is_empty() { &here[..] } else { paths } {
        walker.start.clone_from(path);
        walker.visit(context, &mut plan, path, 0, None);
        if walker.stopped {
            break;
        }
    }
    for index in 0..plan.collected.len() {
        run_collected(context, &mut plan, index);
    }
    Ok(context.status)
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn alternatives(&mut self) -> Result<Node, String> {
        let mut node = self.sequence()?;
        while matches!(self.peek(), Some("-o" | "-or")) {
            self.at += 1;
            node = Node::Or(Box::new(node), Box::new(self.sequence()?));
        }
        Ok(node)
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut node = self.negation()?;
        loop {
            match self.peek() {
                None | Some("-o" | "-or" | ")") => return Ok(node),
                Some("-a" | "-and") => self.at += 1,
                Some(_) => {}
            }
            node = Node::And(Box::new(node), Box::new(self.negation()?));
        }
    }

    fn negation(&mut self) -> Result<Node, String> {
        match self.peek() {
            Some("!" | "-not") => {
                self.at += 1;
                Ok(Node::Not(Box::new(self.negation()?)))
            }
            Some("(") => {
                self.at += 1;
                let inner = self.alternatives()?;
                if self.peek() != Some(")") {
                    return Err("a '(' is not closed".to_string());
                }
                self.at += 1;
                Ok(inner)
            }
            Some(_) => self.primary(),
            None => Err("the expression ends where a test is expected".to_string()),
        }
    }

    fn value(&mut self, test: &str) -> Result<String, String> {
        let value = self.words.get(self.at).cloned().ok_or_else(|| format!("'{test}' needs a value"))?;
        self.at += 1;
        Ok(value)
    }

    fn bound(&mut self, test: &str) -> Result<Bound, String> {
        let text = self.value(test)?;
        Bound::parse(&text).ok_or_else(|| format!("'{text}' is no number for '{test}'"))
    }

    fn depth(&mut self, test: &str) -> Result<usize, String> {
        let text = self.value(test)?;
        text.parse().map_err(|_| format!("'{text}' is no number for '{test}'"))
    }

    fn primary(&mut self) -> Result<Node, String> {
        let word = self.value("")?;
        let test = word.as_str();
        Ok(match test {
            "-true" | "-daystart" | "-noleaf" => Node::Always(true),
            "-false" => Node::Always(false),
            "-maxdepth" => {
                self.plan.maximum = Some(self.depth(test)?);
                Node::Always(true)
            }
            "-mindepth" => {
                self.plan.minimum = self.depth(test)?;
                Node::Always(true)
            }
            "-depth" | "-d" => {
                self.plan.contents_first = true;
                Node::Always(true)
            }
            "-xdev" | "-mount" => {
                self.plan.one_system = true;
                Node::Always(true)
            }
            "-follow" => {
                self.plan.follow = true;
                Node::Always(true)
            }
            "-name" | "-iname" => Node::Name(pattern::glob(&self.value(test)?, test == "-iname")?),
            "-path" | "-wholename" | "-ipath" => {
                Node::Path(pattern::glob(&self.value(test)?, test == "-ipath")?)
            }
            "-regex" | "-iregex" => {
                let expression = pattern::translate(&self.value(test)?, pattern::Syntax::Extended)?;
                Node::Path(pattern::compile(&format!("^(?:{expression})$"), test == "-iregex")?)
            }
            "-type" => {
                let letters: Vec<char> = self.value(test)?.chars().filter(|letter| *letter != ',').collect();
                match letters.iter().find(|letter| !"fdlcbps".contains(**letter)) {
                    Some(unknown) => return Err(format!("there is no type '{unknown}'")),
                    None => Node::Type(letters),
                }
            }
            "-size" => {
                let text = self.value(test)?;
                let (number, unit) = match text.chars().last() {
                    Some('c') => (&text[..text.len() - 1], 1),
                    Some('w') => (&text[..text.len() - 1], 2),
                    Some('b') => (&text[..text.len() - 1], 512),
                    Some('k') => (&text[..text.len() - 1], 1 << 10),
                    Some('M') => (&text[..text.len() - 1], 1 << 20),
                    Some('G') => (&text[..text.len() - 1], 1 << 30),
                    _ => (text.as_str(), 512),
                };
                let bound = Bound::parse(number).ok_or_else(|| format!("'{text}' is no size"))?;
                Node::Size(bound, unit)
            }
            "-empty" => Node::Empty,
            "-newer" | "-samefile" => {
                let path = self.value(test)?;
                let metadata = fs::metadata(&path)
                    .map_err(|error| format!("cannot look at '{path}': {}", describe(&error)))?;
                match test {
                    "-newer" => Node::Newer(metadata.mtime()),
                    _ => Node::SameFile(metadata.dev(), metadata.ino()),
                }
            }
            "-mtime" => Node::Age(Time::Modified, self.bound(test)?, 86_400),
            "-atime" => Node::Age(Time::Accessed, self.bound(test)?, 86_400),
            "-ctime" => Node::Age(Time::Changed, self.bound(test)?, 86_400),
            "-mmin" => Node::Age(Time::Modified, self.bound(test)?, 60),
            "-amin" => Node::Age(Time::Accessed, self.bound(test)?, 60),
            "-cmin" => Node::Age(Time::Changed, self.bound(test)?, 60),
            "-perm" => {
                let text = self.value(test)?;
                let wrong = || format!("'{text}' is no mode");
                match text.as_bytes().first() {
                    Some(b'-') => Node::Mode(Permission::All(change(&text[1..], 0, false).ok_or_else(wrong)?)),
                    Some(b'/') => Node::Mode(Permission::Any(change(&text[1..], 0, false).ok_or_else(wrong)?)),
                    _ => Node::Mode(Permission::Exactly(change(&text, 0, false).ok_or_else(wrong)?)),
                }
            }
            "-links" => Node::Links(self.bound(test)?),
            "-inum" => Node::Inode(self.bound(test)?),
            "-uid" => Node::Uid(self.bound(test)?),
            "-gid" => Node::Gid(self.bound(test)?),
            "-prune" => Node::Prune,
            _ => return self.action(test),
        })
    }

    fn action(&mut self, test: &str) -> Result<Node, String> {
        self.plan.acts = true;
        Ok(match test {
            "-print" => Node::Print(b'\n'),
            "-print0" => Node::Print(0),
            "-printf" => Node::Format(self.value(test)?),
            "-ls" => Node::List,
            "-quit" => Node::Quit,
            "-delete" => {
                self.plan.contents_first = true;
                Node::Delete
            }
            "-exec" => {
                let mut words = Vec::new();
                loop {
                    let word = self
                        .value(test)
                        .map_err(|_| "the command of '-exec' does not end with ';' or '+'".to_string())?;
                    if word == ";" {
                        break Node::Run(words);
                    }
                    if word == "+" && words.last().is_some_and(|last| last == "{}") {
                        words.pop();
                        self.plan.collected.push((words, Vec::new()));
                        break Node::Collect(self.plan.collected.len() - 1);
                    }
                    words.push(word);
                }
            }
            unknown => return Err(format!("there is no test or action '{unknown}'")),
        })
    }
}

fn run_collected(context: &mut Context, plan: &mut Plan, index: usize) {
    let (command, paths) = &mut plan.collected[index];
    if paths.is_empty() {
        return;
    }
    let mut words = command.clone();
    words.append(paths);
    context.out.flush();
    match run_and_wait(&words, false) {
        Ok(0) => {}
        Ok(_) => context.status = 1,
        Err(error) => context.error(format_args!("cannot run '{}': {}", words[0], describe(&error))),
    }
}

struct Walker {
    expression: Node,
    pruned: bool,
    stopped: bool,
    start: String,
    now: i64,
}

/// The file under test.
struct Subject<'a> {
    path: &'a str,
    depth: usize,
    metadata: &'a Metadata,
}

impl Walker {
    fn visit(&mut self, context: &mut Context, plan: &mut Plan, path: &str, depth: usize, device: Option<u64>) {
        let found = match plan.follow {
            true => fs::metadata(path).or_else(|_| fs::symlink_metadata(path)),
            false => fs::symlink_metadata(path),
        };
        let metadata = match found {
            Ok(metadata) => metadata,
            Err(error) => {
                context.error(format_args!("cannot look at '{path}': {}", describe(&error)));
                return;
            }
        };
        let subject = Subject { path, depth, metadata: &metadata };
        let expression = core::mem::replace(&mut self.expression, Node::Always(true));
        self.pruned = false;
        if !plan.contents_first && depth >= plan.minimum {
            self.test(context, plan, &expression, &subject);
        }
        let crosses = plan.one_system && device.is_some_and(|device| device != metadata.dev());
        let descends = metadata.is_dir()
            && !self.pruned
            && !self.stopped
            && !crosses
            && plan.maximum.is_none_or(|maximum| depth < maximum);
        self.expression = expression;
        if descends {
            // The names are collected first: -delete while reading could pass some over.
            let names: Result<Vec<String>, _> =
                fs::read_dir(path).and_then(|reader| reader.map(|entry| Ok(entry?.file_name())).collect());
            match names {
                Ok(names) => {
                    for name in names.iter().filter(|name| *name != "." && *name != "..") {
                        self.visit(context, plan, &join(path, name), depth + 1, Some(metadata.dev()));
                        if self.stopped || context.out.is_broken() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    context.error(format_args!("cannot open directory '{path}': {}", describe(&error)));
                }
            }
        }
        if plan.contents_first && depth >= plan.minimum {
            let expression = core::mem::replace(&mut self.expression, Node::Always(true));
            self.test(context, plan, &expression, &subject);
            self.expression = expression;
        }
    }

    fn test(&mut self, context: &mut Context, plan: &mut Plan, node: &Node, subject: &Subject) -> bool {
        let metadata = subject.metadata;
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        match node {
            Node::And(a, b) => {
                self.test(context, plan, a, subject) && !self.stopped && self.test(context, plan, b, subject)
            }
            Node::Or(a, b) => {
                self.test(context, plan, a, subject) || (!self.stopped && self.test(context, plan, b, subject))
            }
            Node::Not(inner) => !self.test(context, plan, inner, subject),
            Node::Always(result) => *result,
            Node::Name(glob) => glob.is_match(basename(subject.path).as_bytes()),
            Node::Path(glob) => glob.is_match(subject.path.as_bytes()),
            Node::Type(letters) => {
                let letter = type_letter(metadata.mode());
                letters.contains(&if letter == '-' { 'f' } else { letter })
            }
            Node::Size(bound, unit) => bound.fits(signed(metadata.len().div_ceil(*unit))),
            Node::Empty => match metadata.is_dir() {
                true => fs::read_dir(subject.path).is_ok_and(|reader| {
                    reader.flatten().all(|entry| matches!(entry.file_name().as_str(), "." | ".."))
                }),
                false => metadata.is_file() && metadata.len() == 0,
            },
            Node::Newer(time) => metadata.mtime() > *time,
            Node::Age(time, bound, unit) => {
                let stamp = match time {
                    Time::Accessed => metadata.atime(),
                    Time::Changed => metadata.ctime(),
                    Time::Modified => metadata.mtime(),
                };
                // Minutes are counted up, days down.
                let age = self.now - stamp;
                bound.fits(if *unit == 60 { (age + 59).div_euclid(60) } else { age.div_euclid(*unit) })
            }
            Node::Mode(permission) => {
                let mode = metadata.mode() & 0o7777;
                match permission {
                    Permission::Exactly(bits) => mode == *bits,
                    Permission::All(bits) => mode & bits == *bits,
                    Permission::Any(bits) => *bits == 0 || mode & bits != 0,
                }
            }
            Node::Links(bound) => bound.fits(signed(metadata.nlink())),
            Node::Inode(bound) => bound.fits(signed(metadata.ino())),
            Node::Uid(bound) => bound.fits(i64::from(metadata.uid())),
            Node::Gid(bound) => bound.fits(i64::from(metadata.gid())),
            Node::SameFile(device, inode) => metadata.dev() == *device && metadata.ino() == *inode,
            _ => self.act(context, plan, node, subject),
        }
    }

    fn act(&mut self, context: &mut Context, plan: &mut Plan, node: &Node, subject: &Subject) -> bool {
        let path = subject.path;
        match node {
            Node::Print(end) => {
                context.out.bytes(path.as_bytes());
                context.out.byte(*end);
            }
            Node::Format(format) => self.print_format(context, format, subject),
            Node::List => {
                let metadata = subject.metadata;
                put!(
                    context,
                    "{:>9} {:>6} {} {:>3} {:<8} {:<8} {:>8} {} {path}\n",
                    metadata.ino(),
                    metadata.blocks().div_ceil(2),
                    mode_text(metadata.mode()),
                    metadata.nlink(),
                    metadata.uid(),
                    metadata.gid(),
                    metadata.len(),
                    strftime("%b %e %H:%M", metadata.mtime(), 0)
                );
            }
            Node::Prune => self.pruned = true,
            Node::Quit => self.stopped = true,
            Node::Delete => {
                let removed =
                    if subject.metadata.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
                match removed {
                    _ if path == "." => {}
                    Ok(()) => {}
                    Err(error) => {
                        context.error(format_args!("cannot delete '{path}': {}", describe(&error)));
                        return false;
                    }
                }
            }
            Node::Run(words) => {
                let words: Vec<String> = words.iter().map(|word| word.replace("{}", path)).collect();
                context.out.flush();
                return match run_and_wait(&words, false) {
                    Ok(status) => status == 0,
                    Err(error) => {
                        let program = words.first().map_or("", String::as_str);
                        context.error(format_args!("cannot run '{program}': {}", describe(&error)));
                        false
                    }
                };
            }
            Node::Collect(index) => {
                plan.collected[*index].1.push(path.to_string());
                let length: usize = plan.collected[*index].1.iter().map(|path| path.len() + 1).sum();
                if length > 16 * 1024 {
                    run_collected(context, plan, *index);
                }
            }
            _ => {}
        }
        true
    }

    fn print_format(&self, context: &mut Context, format: &str, subject: &Subject) {
        let (bytes, metadata) = (format.as_bytes(), subject.metadata);
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            at += 1;
            match (byte, bytes.get(at)) {
                (b'\\', _) => match unescape(&bytes[at..]) {
                    Unescaped::Byte(value, length) => {
                        context.out.byte(value);
                        at += length;
                    }
                    Unescaped::Stop => return,
                    Unescaped::Plain => context.out.byte(b'\\'),
                },
                (b'%', Some(letter)) => {
                    at += 1;
                    match letter {
                        b'p' => put!(context, "{}", subject.path),
                        b'f' => put!(context, "{}", basename(subject.path)),
                        b'h' => put!(context, "{}", dirname(subject.path)),
                        b'P' => {
                            let below = subject.path.strip_prefix(&self.start).unwrap_or(subject.path);
                            put!(context, "{}", below.trim_start_matches('/'));
                        }
                        b's' => put!(context, "{}", metadata.len()),
                        b'k' => put!(context, "{}", metadata.blocks().div_ceil(2)),
                        b'b' => put!(context, "{}", metadata.blocks()),
                        b'm' => put!(context, "{:o}", metadata.mode() & 0o7777),
                        b'M' => put!(context, "{}", mode_text(metadata.mode())),
                        b'i' => put!(context, "{}", metadata.ino()),
                        b'n' => put!(context, "{}", metadata.nlink()),
                        b'd' => put!(context, "{}", subject.depth),
                        b'y' => {
                            let letter = type_letter(metadata.mode());
                            put!(context, "{}", if letter == '-' { 'f' } else { letter });
                        }
                        b'l' => put!(context, "{}", fs::read_link(subject.path).unwrap_or_default()),
                        b'U' => put!(context, "{}", metadata.uid()),
                        b'G' => put!(context, "{}", metadata.gid()),
                        b't' => put!(context, "{}", strftime("%a %b %e %H:%M:%S %Y", metadata.mtime(), 0)),
                        b'%' => context.out.byte(b'%'),
                        other => context.out.bytes(&[b'%', *other]),
                    }
                }
                _ => context.out.byte(byte),
            }
        }
    }
}
