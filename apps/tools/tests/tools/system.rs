//! The tools that show and steer the system, on the fixed sample data of the host.

use crate::common::ours;

fn prints(family: &str, script: &str, expected: &str) {
    let (out, err, status) = ours(family, script);
    assert_eq!(out, expected, "{script}\n{err}");
    assert_eq!((err.as_str(), status), ("", 0), "{script}");
}

fn fails(family: &str, script: &str, expected: &str, status: i32) {
    let (out, err, found) = ours(family, script);
    assert_eq!((out.as_str(), err.as_str(), found), ("", expected, status), "{script}");
}

#[test]
fn every_tool_has_help_with_an_example_and_complains_of_unknown_options() {
    for tool in motte_tools::tools::TOOLS {
        assert!(tool.help.starts_with("Usage: "), "{}", tool.name);
        assert!(tool.help.contains("\nExample: "), "{}", tool.name);
        assert!(tool.help.lines().all(|line| line.len() <= 120), "{}", tool.name);
        if !["true", "false"].contains(&tool.name) {
            let script = format!("$T/{} --help", tool.name);
            prints("help", &script, &format!("{}\n", tool.help));
        }
        if !["true", "false", "echo", "printf", "test", "[", "expr", "seq", "dd", "kill", "find"].contains(&tool.name) {
            let (_, err, status) = ours("help", &format!("$T/{} --no-such-option", tool.name));
            let name = tool.name;
            assert_eq!(err, format!("{name}: unknown option '--no-such-option'; try '{name} --help'\n"));
            assert_ne!(status, 0, "{name}");
        }
    }
}

#[test]
fn the_links_of_the_package_are_the_names_of_the_tools() {
    let manifest = include_str!("../../Cargo.toml");
    let (_, links) = manifest.split_once("links.tools = [\n").expect("the manifest names the links");
    let (links, _) = links.split_once("\n]\n").expect("the list ends");
    let links: Vec<&str> = links.split('"').skip(1).step_by(2).collect();
    let names: Vec<&str> = motte_tools::tools::TOOLS.iter().map(|tool| tool.name).collect();
    assert_eq!(links, names);
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "the tools are in order");
}

#[test]
fn one_program_runs_every_tool_by_its_first_argument() {
    prints("multi", "ln -s $(readlink $T/ls) tools; ./tools echo one; ./tools basename a/b; ./tools true", "one\nb\n");
    fails(
        "multi",
        "ln -s $(readlink $T/ls) tools; ./tools nonsense",
        "tools: there is no tool 'nonsense'; 'help' lists them all\n",
        127,
    );
}

#[test]
fn services_are_listed_and_steered() {
    prints(
        "services",
        "services",
        "NAME        STATE    RESTARTS    UP   MEM  QUOTA     CPU  SHARE  PROVIDES\n\
         fs          running         0  0:01:05  1.0M   8.0M  0:00.25   0.3%  files\n\
         virtio-blk  running         2  0:01:05  1.0M   8.0M  0:00.25   0.3%  block\n"
            .replace("    UP   MEM", "       UP   MEM")
            .replace("QUOTA     CPU", "QUOTA      CPU")
            .as_str(),
    );
    prints("services", "services restart fs && stop fs && start fs && restart virtio-blk && $T/kill fs", "");
    fails(
        "services",
        "restart nonsense",
        "restart: cannot restart 'nonsense': no component has that name; 'services' lists them\n",
        1,
    );
    let (out, _, _) = ours("services", "services virtio-blk");
    assert!(out.contains("  restarts    2\n") && out.contains("  uses        pci\n"), "{out}");
    assert!(out.contains("  last fault  2: page fault reading 0x10\n"), "{out}");
    assert_eq!(ours("services", "services show virtio-blk").0, out);
    prints(
        "services",
        "services -w -n 2 virtio-blk",
        "[    4.000] virtio-blk restarting (generation 2): page fault reading 0x10\n\
         [    5.000] virtio-blk running (generation 2)\n",
    );
    fails("services", "services -w -n x", "services: 'x' is no number; try 'services --help'\n", 1);
}

#[test]
fn kill_takes_numbers_and_names() {
    prints("kill", "$T/kill 1 2 virtio-blk; $T/kill -9 1; $T/kill -s TERM 1; $T/kill -KILL fs", "");
    fails("kill", "$T/kill 77", "kill: cannot kill '77': no program has that number; 'ps' lists them\n", 1);
    fails("kill", "$T/kill x", "kill: cannot kill 'x': no component has that name; 'services' lists them\n", 1);
    fails("kill", "$T/kill", "kill: there is nothing to end; try 'kill --help'\n", 1);
}

#[test]
fn programs_and_memory_are_listed() {
    prints(
        "ps",
        "ps",
        "PID  STATE     MEM     TIME  COMMAND\n  1  running  512K  1:01.25  sh\n  2  running  1.0M  2:02.50  ps -f\n",
    );
    prints("ps", "ps -o pid,name -p 2", "PID  NAME\n  2  tools\n");
    let (out, _, _) = ours("ps", "free -m");
    assert_eq!(
        out.lines().nth(1).map(str::split_whitespace).map(|words| words.collect::<Vec<_>>().join(" ")),
        Some("Mem: 128 24 96 8 2".to_string())
    );
    let (out, _, status) = ours("ps", "top -b -n 1");
    assert!(out.contains("[virtio-blk]") && status == 0, "{out}");
    prints("ps", "uptime -p", "up 1 day, 2 hours, 3 minutes\n");
}

#[test]
fn log_trace_and_faults_are_read() {
    prints(
        "log",
        "log",
        "[    0.001000] info  kernel: started\n[    0.002000] warn  fs: journal replayed\n[    0.003000] debug fs: ready\n",
    );
    prints("log", "log -l warn", "[    0.002000] warn  fs: journal replayed\n");
    prints("log", "log -n 1 -s fs", "[    0.003000] debug fs: ready\n");
    fails("log", "log -l loud", "log: there is no level 'loud'; try 'log --help'\n", 1);
    prints("log", "trace -n 1", "           2.500   0 fault          0x1 0x2 0x3\n");
    prints("log", "trace -k call", "           1.500   0 call           0x1 0x2 0x3\n");
    prints(
        "log",
        "faults",
        "NUMBER       TIME  COMPONENT   GENERATION  CAUSE\n     1  12.345000  virtio-blk           1  page fault reading 0x10\n",
    );
    prints("log", "faults 1", "virtio-blk, generation 1: page fault reading 0x10\nrip 0x401000\n");
    fails("log", "faults 9", "faults: no fault has the number '9'; 'faults' lists them\n", 1);
}

#[test]
fn mounts_and_space_are_listed() {
    prints("mount", "mount", "virtio-blk on / type ext4 (rw)\nmemory on /tmp type memory (rw)\n");
    prints(
        "mount",
        "df -h /",
        "Filesystem Size Used Available Use% Mounted on\nvirtio-blk 1.0G 256M      768M  25% /\n",
    );
    fails("mount", "mount a b", "mount: cannot mount 'a' at 'b': not supported here\n", 1);
    fails("mount", "umount /x", "umount: cannot unmount '/x': not supported here\n", 1);
    prints("mount", "shutdown; shutdown -s 3; reboot", "");
    fails("mount", "shutdown -s 200", "shutdown: '200' is no status from 0 to 127; try 'shutdown --help'\n", 1);
}

#[test]
fn errors_are_one_sentence_each() {
    let missing = "no such file or directory";
    fails("errors", "cp a b", &format!("cp: cannot copy 'a' to 'b': {missing}\n"), 1);
    fails("errors", "mv a b", &format!("mv: cannot move 'a' to 'b': {missing}\n"), 1);
    fails("errors", "rm a", &format!("rm: cannot remove 'a': {missing}\n"), 1);
    fails("errors", "cat a", &format!("cat: cannot open 'a': {missing}\n"), 1);
    fails("errors", "ls a", &format!("ls: cannot access 'a': {missing}\n"), 2);
    fails("errors", "grep x a", &format!("grep: cannot read 'a': {missing}\n"), 2);
    fails("errors", "mkdir a/b", &format!("mkdir: cannot create directory 'a/b': {missing}\n"), 1);
    fails("errors", "grep '[' /dev/null", "grep: the pattern '[' is not valid: unmatched [\n", 2);
    fails("errors", "head -n x", "head: 'x' is no number; try 'head --help'\n", 1);
    fails("errors", "ls -z", "ls: unknown option '-z'; try 'ls --help'\n", 2);
    fails("errors", "cut -d", "cut: option '-d' needs a value; try 'cut --help'\n", 1);
    fails(
        "errors",
        "cp -r / x/y 2>&1 >/dev/null | grep -c . >/dev/null; cp -r x",
        "cp: there is no target after 'x'; try 'cp --help'\n",
        1,
    );
}

#[test]
fn a_tool_whose_reader_has_gone_ends_quietly() {
    prints("pipe", "(yes; echo $? >status) | head -n 1; cat status", "y\n141\n");
}

#[test]
fn tail_goes_on_with_what_is_added() {
    prints(
        "follow",
        "echo a >f; tail -f -s 0.05 f >out & sleep 0.3; echo b >>f; sleep 0.3; echo c >>f; sleep 0.3; kill $!; cat out",
        "a\nb\nc\n",
    );
}

#[test]
fn help_and_man_know_every_command() {
    let (list, _, status) = ours("manual", "help");
    assert_eq!(status, 0);
    for tool in motte_tools::tools::TOOLS {
        assert!(list.contains(&format!("  {:<10} {}\n", tool.name, tool.about)), "{}", tool.name);
    }
    let (page, _, _) = ours("manual", "man grep");
    assert!(page.starts_with("NAME\n  grep - find lines"), "{page}");
}
