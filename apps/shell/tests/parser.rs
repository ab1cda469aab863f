//! Text that parses, printed, parses to the same tree; and no text makes the parser fail otherwise.

use motte_shell::lexer::Parser;
use motte_shell::print;
use proptest::prelude::*;

#[path = "table/mod.rs"]
mod table;

fn reparses(text: &str) {
    let Ok(tree) = Parser::new(text).whole_list() else { return };
    let printed = print::list(&tree);
    match Parser::new(&printed).whole_list() {
        Ok(again) => assert_eq!(tree, again, "{text:?} was printed as {printed:?}"),
        Err(error) => panic!("{text:?} was printed as {printed:?}: {error:?}"),
    }
}

/// Pieces of which scripts consist, right and wrong ones.
const PIECES: &[&str] = &[
    "a", "echo", "x=1", "y=", " ", " ", " ", "\n", ";", "&", "&&", "||", "|", "!", "(", ")", "{ ", " }", ";;", "if ",
    "then ", "elif ", "else ", "fi", "while ", "until ", "do ", "done", "for ", "in ", "case ", "esac", "'", "\"", "`",
    "\\", "$", "${", "}", "$(", "$((", "))", "${x:-", "${#x}", "${x%%", "${x#", "#", "~", "*", "[a]", "<", ">", ">>",
    "2>&1", "&>f", "<<E", "<<'E'", "<<-E", "E", "\nE\n", "<<<", "$@", "$1", "$x", "f()", "f() {", "$'\\n'", "é", "\t",
    "1", "+", "=", "\r", "-",
];

/// Commands that parse, nested a little.
fn command() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-z*?.~]{1,4}".prop_filter("keywords", |w| !matches!(
            w.as_str(),
            "if" | "fi" | "do" | "for" | "case" | "done" | "then" | "else" | "elif" | "esac" | "in"
        )),
        "'[ -&(-~]{0,6}'".boxed(),
        "\"[ !#%-Z^-_a-~]{0,6}\"".boxed(),
        Just("\"a$x${y:-'z' $(echo q)}\\\"\"".to_string()),
        Just("$((1 + (x)))".to_string()),
        Just("${x##*/}".to_string()),
        Just("\"${x:-\\}b}\"".to_string()),
        Just("`echo \\`a\\``".to_string()),
        Just("a\\ b\\'c".to_string()),
        Just("$'\\t'\"\"''".to_string()),
    ];
    let simple = prop::collection::vec(word.clone(), 1..4).prop_map(|words| words.join(" "));
    simple.prop_recursive(4, 24, 3, move |inner| {
        let list = prop::collection::vec(inner.clone(), 1..3).prop_map(|items| items.join("; "));
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} | {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} && {b} || ! {a}")),
            list.clone().prop_map(|a| format!("{{ {a}; }} >f 2>&1")),
            list.clone().prop_map(|a| format!("( {a} & )")),
            (list.clone(), list.clone()).prop_map(|(a, b)| format!("if {a}; then {b}; else {a}; fi")),
            (list.clone(), list.clone()).prop_map(|(a, b)| format!("while {a}; do {b}; done <f")),
            (word.clone(), list.clone()).prop_map(|(w, a)| format!("for i in {w} {w}; do {a}; done")),
            (word.clone(), list.clone()).prop_map(|(w, a)| format!("case {w} in ({w}|b) {a};; *) ;; esac")),
            list.clone().prop_map(|a| format!("f() {{ {a}; }}")),
            list.clone().prop_map(|a| format!("x=$( {a}) echo \"$( {a})\"")),
            (word.clone(), inner.clone().prop_filter("one line", |a| !a.contains('\n')))
                .prop_map(|(w, a)| format!("cat <<E {w} && {a}\nbody $x \\$ `a` \" '\nE\n:")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(2), ..ProptestConfig::default() })]

    #[test]
    fn pieces_in_any_order_reparse_or_are_refused(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..14)) {
        reparses(&pieces.concat());
    }

    #[test]
    fn any_text_reparses_or_is_refused(text in "\\PC{0,40}") {
        reparses(&text);
    }

    #[test]
    fn commands_reparse(text in command()) {
        prop_assert!(Parser::new(&text).whole_list().is_ok(), "{text:?}: {:?}", Parser::new(&text).whole_list());
        reparses(&text);
    }
}

#[test]
fn the_scripts_of_the_table_reparse() {
    for script in table::SAME_AS_DASH {
        reparses(script);
    }
    for (script, ..) in table::EXPECTED {
        reparses(script);
    }
}

#[test]
fn deep_nesting_is_refused() {
    for piece in ["(", "$(", "{ ", "if ", "\"${x-", "`", "$((", "! ", "while "] {
        // Refused, or a plain error; but never an exhausted stack.
        let _ = Parser::new(&piece.repeat(20_000)).whole_list();
    }
}

#[test]
fn what_is_missing_is_told_apart_from_what_is_wrong() {
    for text in
        ["if a", "echo 'a", "echo \"a", "( a", "{ a", "a |", "a &&", "case x in", "for i in a", "$(a", "${x-", "f() {"]
    {
        let error = Parser::new(text).more_may_come().next_line_of_commands().expect_err(text);
        assert!(error.incomplete, "{text}: {error:?}");
    }
    for text in ["fi", ")", "a ;; b", "| a", "for 1 in", "case x y", "${x!}"] {
        let error = Parser::new(text).more_may_come().next_line_of_commands().expect_err(text);
        assert!(!error.incomplete, "{text}: {error:?}");
    }
}
