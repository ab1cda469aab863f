//! What the machine does while faults strike it: programs that write, sync, read back, hash, pipe, start one another, ask the clock and
//! the supervisor, and check all of it.

use std::collections::VecDeque;

/// Where the load lies on the disk, and what looks at its files.
pub const NAME: &str = "campaign-load";
/// See [`check_script`].
pub const CHECK_NAME: &str = "campaign-check";
/// Of the synced files, so many stay on the disk: old ones are removed, so that it never fills.
const FILES_KEPT: u64 = 40;
/// Numbers in a file.
const NUMBERS: u64 = 400;
/// So many words of the load may be lost, when the console itself is struck.
const UNSEEN: u64 = 8;

/// Looks whether the file `$old` is as it was written. A component that is being restarted may be in the way: so more than once.
const COMPARE: &str = r#"tries=0
while seq $old $((old + NUMBERS)) > /tmp/expected; cmp /tmp/expected /campaign/$old ; status=$?; [ $status != 0 ]
do
echo "<error $n compare>"
tries=$((tries + 1))
if [ $tries = 6 ]
then
[ $status = 1 ] || [ ! -e /campaign/$old ] && echo "<wrong $old>"
break
fi
sleep 1
done
"#;

/// The load, whose argument is the first number. It removes an old file only when it has written another: those that were reported as written and
/// were not followed by so many others stay. It speaks in words in angle brackets:
///
/// | word | meaning |
/// |---|---|
/// | `<written N>` | file `N` is on the disk, as `sync` said |
/// | `<error N WHAT>` | a command failed, or printed what it should not |
/// | `<wrong N>` | a file that was reported as written holds something else, or is not there |
/// | `<round N>` | a round is over |
#[must_use]
pub fn script() -> String {
    with_numbers(&format!(
        r#"mkdir -p /campaign
n=$1
while true
do
if seq $n $((n + NUMBERS)) > /campaign/new && sync && mv /campaign/new /campaign/$n && sync
then
echo "<written $n>"
for old in $before $n
do
{COMPARE}done
[ "$(cat /campaign/$n | sha256sum)" = "$(seq $n $((n + NUMBERS)) | sha256sum)" ] || echo "<error $n hash>"
before=$n
rm -f /campaign/$((n - {FILES_KEPT}))
else
echo "<error $n write>"
fi
[ "$(seq 1 300 | sort -rn | tail -n 1)" = 1 ] || echo "<error $n pipe>"
[ "$(date +%Y)" -gt 2000 ] || echo "<error $n clock>"
services > /dev/null || echo "<error $n supervisor>"
echo "<round $n>"
n=$((n + 1))
done
"#
    ))
}

/// Looks at the files whose numbers are its arguments, but for those that the load has removed on its way to the last file there is: it may
/// have gone on unheard. Says `<reached N>`, the last file's number, and in the end `<round 0>`.
#[must_use]
pub fn check_script() -> String {
    with_numbers(&format!(
        r#"last=$(ls /campaign | sort -n | tail -n 1)
echo "<reached $last>"
for old in $*
do
[ $((old + {FILES_KEPT})) -le $last ] && continue
{COMPARE}done
echo '<round 0>'
"#
    ))
}

fn with_numbers(script: &str) -> String {
    script.replace("NUMBERS", &NUMBERS.to_string())
}

/// What file `number` holds.
#[must_use]
pub fn contents(number: u64) -> String {
    (number..=number + NUMBERS).map(|line| format!("{line}\n")).collect()
}

/// A word of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A file is on the disk.
    Written(u64),
    /// A command failed.
    Error(String),
    /// A file holds something else.
    Wrong(u64),
    /// The last file that there is.
    Reached(u64),
    /// A round is over.
    Round,
}

/// The words in what the console showed.
#[must_use]
pub fn words(text: &str) -> Vec<Word> {
    let pieces = text.split('<').skip(1).filter_map(|piece| piece.split_once('>')).map(|(word, _)| word);
    pieces
        .filter_map(|word| {
            let (name, rest) = word.split_once(' ')?;
            Some(match name {
                "written" => Word::Written(rest.parse().ok()?),
                "error" => Word::Error(rest.split_once(' ')?.1.to_owned()),
                "wrong" => Word::Wrong(rest.parse().ok()?),
                "reached" => Word::Reached(rest.parse().ok()?),
                "round" => Word::Round,
                _ => return None,
            })
        })
        .collect()
}

/// The files that must be on a disk.
#[derive(Clone, Debug, Default)]
pub struct Files {
    written: VecDeque<u64>,
    /// The last one that there was, reported or not.
    reached: u64,
    /// How many were ever written.
    pub count: u64,
}

impl Files {
    /// A file was reported as written.
    pub fn add(&mut self, number: u64) {
        self.written.push_back(number);
        self.count += 1;
        // The load removes files as it goes, the last removal perhaps unseen.
        while self.written.front().is_some_and(|&first| first + FILES_KEPT <= number + UNSEEN) {
            self.written.pop_front();
        }
    }

    /// There is a file of this number. Nobody may have heard of it, nor of what the load removed on its way there.
    pub fn reach(&mut self, number: u64) {
        self.reached = self.reached.max(number);
        self.written.retain(|&written| written + FILES_KEPT > number);
    }

    /// Takes note of what the load said.
    pub fn hear(&mut self, said: &str) {
        for word in words(said) {
            if let Word::Written(number) = word {
                self.add(number);
            }
        }
    }

    /// Those that are still there.
    pub fn kept(&self) -> impl Iterator<Item = u64> + '_ {
        self.written.iter().copied()
    }

    /// A number that no file has had, for a load that begins anew.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.written.back().max(Some(&self.reached)).filter(|&&last| last > 0).map_or(1000, |&last| last + UNSEEN + 2)
    }

    /// Forgets them: the disk is another one.
    pub fn clear(&mut self) {
        self.written.clear();
        self.reached = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_between_anything() {
        let text = "# echo 'pro''be-1'<written 1000>\nprobe-1\n<error 1000 pipe>\n<round 1000>\n<wrong 9> <reached 12> <else 1>";
        let expected =
            [Word::Written(1000), Word::Error("pipe".into()), Word::Round, Word::Wrong(9), Word::Reached(12)];
        assert_eq!(words(text), expected);
    }

    #[test]
    fn files_that_the_load_removes_are_not_asked_for() {
        let mut files = Files::default();
        (1000..1100).for_each(|number| files.add(number));
        assert_eq!(files.kept().next(), Some(1068));
        assert_eq!((files.next(), files.count), (1109, 100));
    }

    #[test]
    fn files_that_the_load_removed_unheard_are_not_asked_for() {
        let mut files = Files::default();
        (1000..1020).for_each(|number| files.add(number));
        files.reach(1050);
        assert_eq!(files.kept().collect::<Vec<_>>(), (1011..1020).collect::<Vec<_>>());
        assert_eq!((files.next(), files.count), (1060, 20));
        files.clear();
        assert_eq!(files.next(), 1000);
    }

    #[test]
    fn the_model_of_a_file_is_what_the_load_writes() {
        assert_eq!(contents(1000).lines().count(), 401);
        assert!(script().contains("seq $n $((n + 400)) > /campaign/new"));
        assert!(check_script().contains("seq $old $((old + 400)) > /tmp/expected"));
    }
}
