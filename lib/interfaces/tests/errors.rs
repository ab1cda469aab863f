//! What the generator says to somebody who writes an interface that cannot be. `TRYBUILD=overwrite` accepts new texts.

#[test]
fn mistakes_in_an_interface_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/errors/*.rs");
}
