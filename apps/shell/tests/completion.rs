//! What Tab proposes for what was typed.

use motte_shell::shell::Shell;

fn proposals(typed: &str) -> Vec<String> {
    static SETUP: std::sync::Once = std::sync::Once::new();
    SETUP.call_once(|| {
        let root = std::env::temp_dir().join(format!("motte-shell-completion-{}", std::process::id()));
        std::fs::create_dir_all(root.join("folder/inner")).expect("make directories");
        for name in ["file one", "file2", "folder/deep", ".hidden"] {
            std::fs::write(root.join(name), "").expect("make files");
        }
        std::env::set_current_dir(&root).expect("enter the directory");
    });
    let shell = Shell::new("sh", vec![("PATH".into(), "/nosuch".into()), ("FOOBAR".into(), "1".into())]);
    shell.complete(typed).candidates.into_iter().map(|(text, _)| text).collect()
}

#[test]
fn commands_are_proposed_where_a_command_begins() {
    assert_eq!(proposals("unal"), ["unalias"]);
    assert_eq!(proposals("true; unal"), ["unalias"]);
    assert_eq!(proposals("if unal"), ["unalias"]);
    assert_eq!(proposals("x=1 unal"), ["unalias"]);
    assert_eq!(proposals("true | unal"), ["unalias"]);
    assert_eq!(proposals("echo unal"), [""; 0]);
    assert_eq!(proposals("echo then unal"), [""; 0]);
}

#[test]
fn files_are_proposed_and_quoted() {
    assert_eq!(proposals("cat file"), ["file\\ one", "file2"]);
    assert_eq!(proposals("cat 'fi"), ["'file one'", "'file2'"]);
    assert_eq!(proposals("cat fo"), ["folder/"]);
    assert_eq!(proposals("cat folder/"), ["folder/deep", "folder/inner/"]);
    assert_eq!(proposals("cat file\\ "), ["file\\ one"]);
    assert_eq!(proposals("cat .h"), [".hidden"]);
    assert_eq!(proposals("cat >fo"), ["folder/"]);
    assert_eq!(proposals("./fo"), ["./folder/"]);
}

#[test]
fn variables_are_proposed_behind_a_dollar() {
    assert_eq!(proposals("echo $FOO"), ["FOOBAR"]);
    assert_eq!(proposals("echo \"x$FOO"), ["FOOBAR"]);
}
