//! Runs shell snippets twice, with the GNU tools and with ours, in equal directories, and compares what they
//! print, how they end, and what they leave.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The example program that the symbolic links point to; cargo builds it beside the tests.
fn host_tools() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let profile = test.parent().and_then(Path::parent).expect("it lies in deps/");
    profile.join("examples/host-tools")
}

/// A directory of links, one for each tool, made anew for each family of tests.
fn links(root: &Path) -> PathBuf {
    let bin = root.join("bin");
    fs::create_dir_all(&bin).expect("make bin");
    for tool in motte_tools::tools::TOOLS {
        symlink(host_tools(), bin.join(tool.name)).expect("link a tool");
    }
    bin
}

fn run(script: &str, directory: &Path, bin: &Path) -> Output {
    Command::new("/bin/sh")
        .args(["-c", script])
        .current_dir(directory)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("T", bin)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .output()
        .expect("run a shell")
}

/// Files to work on.
const FIXTURE: &str = r#"
printf 'apple 3\nBanana 12\ncherry 7\n\napple 3\ndate -4\n\n\nelder 1.50\n' > fruits
printf 'one\ntwo\nthree' > unterminated
printf 'a:b:c\n1:2:3\nno delimiter\n::\nx:y\n' > colons
printf 'left\tright\nx\ty\tz\n' > tabs
: > empty
printf 'abc\000def\nplain\n' > binary
printf 'Gr\303\274\303\237e aus K\303\266ln\n\377\376\n' > latin
seq 1 3000 > numbers
seq 1 20000 | sed 's/$/ the quick brown fox/' > large
head -c 300000 /dev/zero > zeros
od -An -tx1 -v large | head -c 500000 > dump
mkdir -p dir/sub/deep other 'with space'
echo 'hello world' > dir/hello.txt
echo 'Hello again, foo_bar' > dir/sub/again.txt
echo 'foo bar foobar' > dir/sub/deep/foo.c
printf '#!/bin/sh\necho run\n' > dir/script.sh
chmod 755 dir/script.sh
chmod 600 dir/sub/again.txt
echo x > 'with space/a b.txt'
echo hidden > .hidden
ln -s dir/hello.txt link
ln -s missing dangling
ln -s dir linkdir
ln fruits hard
touch -d '2020-02-29 12:34:56' fruits
touch -d '2021-06-01 00:00:00' dir/hello.txt dir/script.sh numbers
find . -type d -exec touch -d '2022-03-04 05:06:07' {} +
printf '10K\n9M\n1G\n100\n2K\n' > sizes
printf 'v1.10\nv1.9\nv1.9.1\nv2\nv1.9a\n' > versions
printf 'mar x\njan y\nDec z\nfoo\n' > months
"#;

/// Runs the snippets; every difference is listed in the panic's message.
pub fn compare(family: &str, scripts: &[&str]) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{family}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).expect("make a directory to work in");
    let ours = links(&root);
    let gnu = Path::new("/usr/bin");
    let mut differences = String::new();
    for script in scripts {
        let mut results = Vec::new();
        for bin in [gnu, &ours] {
            let work = root.join("folder");
            let _ = fs::remove_dir_all(&work);
            fs::create_dir_all(&work).expect("make the folder");
            assert!(run(FIXTURE, &work, gnu).status.success(), "the fixture failed");
            let output = run(script, &work, bin);
            let state = "find . -printf '%p %y %s %m %n %l\\n' | sort; find . -type f | sort | xargs -d '\\n' md5sum";
            let left = run(state, &work, gnu).stdout;
            results.push((output, left));
        }
        let (expected, expected_left) = &results[0];
        let (found, found_left) = &results[1];
        let mut what = Vec::new();
        if expected.stdout != found.stdout {
            what.push(format!("printed:\n{}", difference(&root, &expected.stdout, &found.stdout)));
        }
        if expected.status.code() != found.status.code() {
            what.push(format!("GNU ends with {:?}, we with {:?}", expected.status.code(), found.status.code()));
        }
        if expected.stderr.is_empty() != found.stderr.is_empty() {
            what.push("only one of the two complains".to_string());
        }
        if expected_left != found_left {
            what.push(format!("left:\n{}", difference(&root, expected_left, found_left)));
        }
        if !what.is_empty() {
            differences += &format!(
                "--- {script}\n{}\nGNU says: {}\nwe say: {}\n",
                what.join("\n"),
                String::from_utf8_lossy(&expected.stderr),
                String::from_utf8_lossy(&found.stderr)
            );
        }
    }
    let _ = fs::remove_dir_all(&root);
    assert!(differences.is_empty(), "{differences}");
}

/// Runs one snippet with our tools only: standard output, standard error, status.
pub fn ours(family: &str, script: &str) -> (String, String, i32) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{family}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(root.join("folder")).expect("make a directory to work in");
    let bin = links(&root);
    let output = run(script, &root.join("folder"), &bin);
    let _ = fs::remove_dir_all(&root);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

/// What two outputs differ in, by the host's diff.
fn difference(root: &Path, expected: &[u8], found: &[u8]) -> String {
    let (gnu, ours) = (root.join("gnu"), root.join("ours"));
    fs::write(&gnu, expected).expect("keep an output");
    fs::write(&ours, found).expect("keep an output");
    let output = Command::new("diff").args(["-a", "-U1"]).args([&gnu, &ours]).output().expect("run diff");
    String::from_utf8_lossy(&output.stdout).chars().take(3_000).collect()
}
